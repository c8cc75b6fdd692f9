package agent

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/firsttouch/firsttouch/exporter/pprof"
	"github.com/firsttouch/firsttouch/internal/endpoint"
	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

// builder is one of the two profiles of package pprof.
type builder func(*profiler.Snapshot, ...pprof.Option) *profile.Profile

func (a *Agent) serveProfile(w http.ResponseWriter, r *http.Request) {
	a.servePprof(w, r, "profile.pb.gz", pprof.ByCode)
}

func (a *Agent) serveAddress(w http.ResponseWriter, r *http.Request) {
	a.servePprof(w, r, "address.pb.gz", pprof.ByAddress)
}

func (a *Agent) servePprof(w http.ResponseWriter, r *http.Request, name string, build builder) {
	if a.prof == nil {
		http.Error(w, "not profiled: "+a.Reason(), http.StatusServiceUnavailable)
		return
	}
	d, err := secondsOf(w, r)
	spans, err2 := flagOf(r, "spans")
	if err := errors.Join(err, err2); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var win *window
	if d == 0 {
		if !endpoint.Begin(w) {
			return
		}
		win = &window{Snapshot: a.prof.Snapshot()}
	} else {
		var ok bool
		if win, ok = a.serveWindow(w, r, d); !ok {
			return
		}
	}
	var opts []pprof.Option
	if spans {
		opts = append(opts, pprof.WithSpans())
	}
	for _, l := range win.limits {
		opts = append(opts, pprof.WithComment(l))
		// Names of regions are the user's, and a header is ASCII on one line.
		w.Header().Add("Firsttouch-Limit", strconv.QuoteToASCII(l))
	}
	var b bytes.Buffer
	if err := pprof.Write(&b, build(win.Snapshot, opts...)); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	attachment(w, name)
	// An error here is the client's: it has left.
	_, _ = w.Write(b.Bytes())
}

// serveWindow records a window of that length from now. Where it cannot, it has answered.
func (a *Agent) serveWindow(w http.ResponseWriter, r *http.Request, d time.Duration) (win *window, ok bool) {
	endpoint.Wait(w, d)
	win, err := a.record(r.Context(), d)
	switch {
	case r.Context().Err() != nil:
		return nil, false // nobody listens any more
	case errors.Is(err, errWindowBusy):
		w.Header().Set("Retry-After", strconv.Itoa(int(d/time.Second)))
		http.Error(w, err.Error()+": only one can be, since its start arms the regions again; try when it has ended", http.StatusConflict)
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
	return win, err == nil && endpoint.Begin(w)
}

// secondsOf reads ?seconds=N, 0 where it is not there. It refuses what the server would cut off.
func secondsOf(w http.ResponseWriter, r *http.Request) (time.Duration, error) {
	v := r.URL.Query().Get("seconds")
	if v == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	longest := int(maxWindow / time.Second)
	if err != nil || n < 1 || n > longest {
		return 0, fmt.Errorf("seconds=%q: choose a whole number from 1 to %d", v, longest)
	}
	d := time.Duration(n) * time.Second
	if srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && srv.WriteTimeout > 0 && d >= srv.WriteTimeout && !endpoint.Wait(w, d) {
		return 0, fmt.Errorf("seconds=%d: the server's WriteTimeout is %v, and what is around this handler hides how to prolong it: ask for less, or raise it", n, srv.WriteTimeout)
	}
	return d, nil
}
