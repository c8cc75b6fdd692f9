// Package hazards holds the hazard matrix: everything known that could make a profiled process hang,
// crash, lose data or be counted wrongly, under each delivery and with GOMAXPROCS of 1, 2 and 8. Each cell is
// a test in a process of its own with a time budget.
//
// The tests are those of the packages, and run there too, once each. The whole matrix takes some
// minutes, and writes docs/hazards.md:
//
//	go test ./e2e/hazards -timeout 1h -matrix -update
//
// A part of it, whose cells replace those that the page has:
//
//	go test ./e2e/hazards -run 'TestMatrix/thread/GOMAXPROCS=8/SIGSTOP' -matrix -update
package hazards
