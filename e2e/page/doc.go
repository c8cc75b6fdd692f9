// Package page tests the live page in a real browser, headless Chromium. It is a module of its own, so that
// who uses firsttouch needs none of what drives the browser.
//
//	apt-get install chromium
//	cd e2e/page && go test ./...
//	cd e2e/page && go test -run Pictures -update   # writes docs/images anew
package page
