package agent

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/firsttouch/firsttouch/agent/livepage"
	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/internal/endpoint"
	"github.com/firsttouch/firsttouch/profiler"
)

// WriteRecording writes what the profiler saw since the start, with what the flight recorder holds: the
// form that the command firsttouch reads. reason says in words who asked for it. On an agent that does
// nothing the error wraps profiler.ErrNotSupported.
func (a *Agent) WriteRecording(w io.Writer, reason string) error {
	if a.prof == nil {
		return fmt.Errorf("%w: not profiled: %s", profiler.ErrNotSupported, a.Reason())
	}
	return recording.Write(w, a.recorded(recording.ScopeAll, reason))
}

// recorded makes a recording of now, with the agent's own notes.
func (a *Agent) recorded(scope recording.Scope, reason string) *recording.Recording {
	r := a.flight.Recording(a.prof.Snapshot(), scope, reason)
	r.WorkingSets, r.Memory = a.WorkingSets(), a.figures.now()
	addNotes(r, a.Notes())
	return r
}

// totals is recorded without the first touches that only the flight recorder holds.
func (a *Agent) totals() *recording.Recording {
	r := &recording.Recording{Snapshot: a.prof.Snapshot(), Requests: a.flight.RequestsSince(0), Ended: a.flight.Ended(), WorkingSets: a.WorkingSets(), Memory: a.figures.now()}
	addNotes(r, a.Notes())
	return r
}

func addNotes(r *recording.Recording, notes []string) {
	s := *r.Snapshot
	s.Stats.Notes = joinNotes(s.Stats.Notes, notes)
	r.Snapshot = &s
}

func (a *Agent) serveRecording(w http.ResponseWriter, r *http.Request) {
	if a.prof == nil {
		http.Error(w, "not profiled: "+a.Reason(), http.StatusServiceUnavailable)
		return
	}
	d, err := secondsOf(w, r)
	scope := recording.Scope(r.URL.Query().Get("scope"))
	switch {
	case err != nil:
	case scope == "":
		scope = recording.ScopeAll
	case scope != recording.ScopeAll && scope != recording.ScopeWindow:
		err = fmt.Errorf("scope=%q: choose all or window", scope)
	}
	var since *position
	stored, bad := flagOf(r, "stored")
	if err = errors.Join(err, bad); err == nil {
		since, err = positionOf(r)
	}
	if err == nil && d != 0 && since != nil {
		err = errors.New("after: a window has no faults that somebody could have already")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var rec *recording.Recording
	before := a.flight.Ended()
	if d == 0 {
		if !endpoint.Begin(w) {
			return
		}
		if rec = a.recorded(scope, "asked for over HTTP"); since != nil {
			rec = rec.Since(since.after, since.ended)
		}
	} else if win, ok := a.serveWindow(w, r, d); ok {
		rec = recording.New(win.Snapshot, "a window of "+d.String()+", asked for over HTTP")
		rec.Requests, rec.Ended = a.flight.RequestsSince(win.StartMono), a.flight.Ended().Sub(before)
		addNotes(rec, append(win.limits, a.Notes()...))
	} else {
		return
	}
	attachment(w, recordingName(rec))
	w.Header().Set(livepage.Live, "true")
	w.Header().Set(livepage.TraceURL, a.cfg.traceURL)
	// An error here is the client's: it has left.
	_ = writer(stored)(w, rec)
}

// writer is how a recording is written: compressed, or for who reads it at once.
func writer(stored bool) func(io.Writer, *recording.Recording) error {
	if stored {
		return recording.WriteStored
	}
	return recording.Write
}

// position is up to where somebody has a recording already.
type position struct {
	after uint64        // number of a fault
	ended time.Duration // of requests, on CLOCK_MONOTONIC
}

// positionOf reads the parameters after and ended; nil where they are not there.
func positionOf(r *http.Request) (*position, error) {
	q := r.URL.Query()
	if !q.Has("after") && !q.Has("ended") {
		return nil, nil
	}
	after, err := strconv.ParseUint(q.Get("after"), 10, 63)
	if err != nil {
		return nil, fmt.Errorf("after=%q: give the seq of the last fault that you have", q.Get("after"))
	}
	ended, err := strconv.ParseInt(q.Get("ended"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("ended=%q: give the end of the recording that you have, in nanoseconds of CLOCK_MONOTONIC", q.Get("ended"))
	}
	return &position{after, time.Duration(ended)}, nil
}

// recordingName is the name of a file: when and of which process.
func recordingName(r *recording.Recording) string {
	return fmt.Sprintf("firsttouch-%s-%d%s", r.Origin.Written.Format("20060102T150405.000Z"), r.Origin.Process, recordingSuffix)
}

// recordingSuffix ends the names of recordings.
const recordingSuffix = ".ftr"
