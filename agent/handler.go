package agent

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/firsttouch/firsttouch/agent/livepage"
	"github.com/firsttouch/firsttouch/internal/endpoint"
)

// basePath is where the handler expects to be reached.
const basePath = "/debug/firsttouch/"

// maxFaults bounds the faults in one JSON snapshot; the rest is asked for with after.
const maxFaults = 100_000

// defaultFaults is how many there are when nothing is said.
const defaultFaults = 1000

// Handler serves what the profiler saw, to be mounted at /debug/firsttouch/:
//
//	GET /debug/firsttouch/          a page for people
//	GET /debug/firsttouch/live      a page that draws them by place and time, with the requests
//	GET /debug/firsttouch/profile   pprof: faults, touched bytes and stall by call stack
//	GET /debug/firsttouch/address   pprof: the same by place in memory
//	GET /debug/firsttouch/snapshot  JSON, see Document
//	GET /debug/firsttouch/windows   JSON, see WindowsDocument
//	GET /debug/firsttouch/mappings  JSON, or with ?text=true a table: all mappings of the process, and what
//	                                can be observed of each, see Mappings
//	GET /debug/firsttouch/recording everything, for the command firsttouch, see package recording
//	GET /debug/firsttouch/engine    text: what the profiler is doing at this moment, see profiler.Dump
//	GET /debug/firsttouch/prefetch  JSON: what was read ahead, and what that saved, see WithPrefetch
//	POST /debug/firsttouch/advise   with WithAdvice, gives the kernel advice about a region, for ?region=NAME&advice=random&confirm=true, and
//	                                &from=BYTES&to=BYTES for a part of it, see profiler.Region.Advise; not for pages of other sites
//	POST /debug/firsttouch/off      takes the profiler off, see SwitchOff, for ?reason=TEXT; not for pages of other sites
//
// The profiles and the recording cover all since the start, or with ?seconds=N (1 to 300) the next N seconds:
// files are armed again at their start, so that what was touched before counts anew. Regions that
// cannot be armed again are named in the comments of the profile (go tool pprof -comments) and in
// Firsttouch-Limit headers; of those it shows only what had never been touched. One window is
// recorded at a time; a second request gets 409 Conflict. A client that leaves ends its window.
// With ?spans=true the samples are labelled with trace_id and span_id.
//
// The JSON takes ?faults=N for the number of first touches, 1,000 if nothing is said and at most
// 100,000, ?after=SEQ for those claimed after that one, and ?addresses=true for addresses of this
// process beside the offsets.
//
// With ?stored=true a recording is not compressed, and with ?after=SEQ&ended=NS it has only the faults after that
// one, and the requests that had not ended at that time on CLOCK_MONOTONIC: so who has one follows.
//
// A recording has the totals since the start, and of the faults one by one those of the log and of the flight
// recorder, or with ?scope=window those of the flight recorder alone.
//
// With WithToken it answers only who brings the token; else it authenticates nobody. It makes two answers at a
// time; others wait, and of more than 64 requests each is answered with 429 Too Many Requests. An answer whose client reads nothing for 20 s,
// or for a second while others wait, is cut off. What a page of another site asks for is refused, unless it is a link to a page
// here. Addresses need WithAddresses. On an agent that does nothing the page and the JSON say why,
// and the profiles are answered with 503 Service Unavailable.
func (a *Agent) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+basePath+"{$}", a.servePage)
	mux.HandleFunc("GET "+basePath+"live", livepage.Serve)
	mux.HandleFunc("GET "+basePath+"profile", a.serveProfile)
	mux.HandleFunc("GET "+basePath+"address", a.serveAddress)
	mux.HandleFunc("GET "+basePath+"snapshot", a.serveSnapshot)
	mux.HandleFunc("GET "+basePath+"windows", a.serveWindows)
	mux.HandleFunc("GET "+basePath+"recording", a.serveRecording)
	mux.HandleFunc("GET "+basePath+"mappings", a.serveMappings)
	mux.HandleFunc("GET "+basePath+"engine", a.serveEngine)
	mux.HandleFunc("GET "+basePath+"prefetch", a.servePrefetch)
	mux.HandleFunc("POST "+basePath+"advise", a.serveAdvise)
	mux.HandleFunc("POST "+basePath+"off", a.serveOff)
	return a.guard.Handler(mux)
}

func (a *Agent) serveSnapshot(w http.ResponseWriter, r *http.Request) {
	sel, err := selectionOf(r)
	if err == nil && sel.addresses && !a.cfg.addresses {
		refuseAddresses(w)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !endpoint.Begin(w) {
		return
	}
	sel.later = true
	d := a.document(sel)
	header(w, "application/json; charset=utf-8")
	// An error here is the client's: it has left.
	_ = d.write(w)
}

// document is the present state, whether the agent profiles or not.
func (a *Agent) document(sel selection) *Document {
	d := idleDocument(a.Reason(), a.started)
	d.Shadow = a.Shadow()
	if a.prof != nil {
		d = document(a.totals(), sel)
		d.Active, d.Reason, d.Shadow = a.observes(), a.Reason(), a.Shadow()
		return d
	}
	d.Engine.Notes = joinNotes(a.Notes(), d.Engine.Notes)
	return d
}

func selectionOf(r *http.Request) (sel selection, err error) {
	sel = selection{after: -1, faults: defaultFaults}
	q := r.URL.Query()
	if v := q.Get("faults"); v != "" {
		if sel.faults, err = strconv.Atoi(v); err != nil || sel.faults < 0 || sel.faults > maxFaults {
			return sel, fmt.Errorf("faults=%q: choose a whole number from 0 to %d, and go on with after=SEQ", v, maxFaults)
		}
	}
	if v := q.Get("after"); v != "" {
		if sel.after, err = strconv.ParseInt(v, 10, 64); err != nil {
			return sel, fmt.Errorf("after=%q: give the seq of the last fault that you have", v)
		}
	}
	sel.addresses, err = flagOf(r, "addresses")
	return sel, err
}

// flagOf reads a parameter that is true or false; false where it is not there.
func flagOf(r *http.Request, name string) (bool, error) {
	v := r.URL.Query().Get(name)
	if v == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("%s=%q: write true or false", name, v)
	}
	return b, nil
}

// attachment is the header of a file to be saved.
func attachment(w http.ResponseWriter, name string) {
	header(w, "application/octet-stream")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
}

// header is common to all answers: what they hold is of this moment, and is what it says it is.
func header(w http.ResponseWriter, contentType string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}
