// Package livepage holds the page that shows a recording, or a live process by its recordings, in a
// browser: one file with everything in it, made from src by build.mjs. It asks for "recording" next to
// itself and for nothing else, and decodes that in the browser.
package livepage

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
)

//go:embed dist/index.html
var text string

// Live is a header of the recording of a process that goes on: the page asks again.
const Live = "Firsttouch-Live"

// TraceURL is a header of the recording with the address of a trace, in which the page puts the trace's id for
// {trace} and the request's for {span}.
const TraceURL = "Firsttouch-Trace-Url"

// policy lets the page's own script run, and no other, whatever the names in a recording hold.
var policy = sync.OnceValue(func() string {
	_, rest, _ := strings.Cut(text, "<script>")
	script, _, _ := strings.Cut(rest, "</script>")
	sum := sha256.Sum256([]byte(script))
	return "default-src 'none'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; style-src 'unsafe-inline'; " +
		"img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
})

// Serve answers with the page.
func Serve(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", policy())
	// An error here is the client's: it has left.
	_, _ = w.Write([]byte(text))
}
