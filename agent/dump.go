package agent

import (
	"io"
	"net/http"
	"regexp"

	"github.com/firsttouch/firsttouch/profiler"
)

// dumpAddress is an address in what profiler.Dump returns.
var dumpAddress = regexp.MustCompile(`0x[0-9a-f]+`)

// serveEngine answers with profiler.Dump, and so where the profiler hangs, too. Addresses are there only with WithAddresses.
func (a *Agent) serveEngine(w http.ResponseWriter, _ *http.Request) {
	text := profiler.Dump()
	if !a.cfg.addresses {
		text = dumpAddress.ReplaceAllLiteralString(text, "0x?")
	}
	header(w, "text/plain; charset=utf-8")
	// An error here is the client's: it has left.
	_, _ = io.WriteString(w, text)
}
