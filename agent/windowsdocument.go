package agent

import (
	"encoding/json"
	"net/http"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/endpoint"
)

// WindowsSchema names the form of WindowsDocument, as DocumentSchema does.
const WindowsSchema = "firsttouch/windows/v2"

// WindowsDocument is what the windows of WithWindows showed. Sizes are bytes and times nanoseconds.
type WindowsDocument struct {
	Schema  string               `json:"schema"`   // WindowsSchema
	EveryNS int64                `json:"every_ns"` // 0: there are no windows, and Reason says why
	Reason  string               `json:"reason,omitempty"`
	Regions []summary.WorkingSet `json:"regions"` // the last 256 windows of each
}

func (a *Agent) serveWindows(w http.ResponseWriter, _ *http.Request) {
	if !endpoint.Begin(w) {
		return
	}
	header(w, "application/json; charset=utf-8")
	// An error here is the client's: it has left.
	_ = json.NewEncoder(w).Encode(a.windowsDocument())
}

func (a *Agent) windowsDocument() *WindowsDocument {
	win := a.windows.Load()
	d := &WindowsDocument{Schema: WindowsSchema, Regions: []summary.WorkingSet{}}
	switch {
	case a.prof == nil:
		d.Reason = a.Reason()
		return d
	case win == nil:
		d.Reason = "windows are off: they arm the regions again and again, which WithWindows or FIRSTTOUCH_WINDOWS=10s switches on"
		return d
	}
	d.EveryNS = int64(win.every)
	d.Regions = summary.WorkingSets(a.prof.Snapshot(), win.WorkingSets())
	return d
}
