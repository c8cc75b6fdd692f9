package agent

import (
	"net/http"

	"github.com/firsttouch/firsttouch/internal/endpoint"
)

// newGuard is what stands in front of the handler, wherever that is mounted.
func (a *Agent) newGuard() *endpoint.Guard {
	return endpoint.NewGuard(a.cfg.token, func(text string) { a.note("a request to the profiler's handler failed: %s", text) })
}

func refuseAddresses(w http.ResponseWriter) {
	http.Error(w, "addresses are not shown: start the agent with WithAddresses", http.StatusForbidden)
}
