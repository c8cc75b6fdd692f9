package agent

import (
	"bytes"
	"errors"
	"net/http"

	"github.com/firsttouch/firsttouch/agent/livepage"
	"github.com/firsttouch/firsttouch/exporter/pprof"
	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/internal/endpoint"
)

// RecordingHandler serves a recording as Handler serves a process, at the same paths: the live page, and what
// can be downloaded from it. The recording must not change any more. traceURL is as in WithTraceURL, or empty.
func RecordingHandler(r *recording.Recording, traceURL string) (http.Handler, error) {
	if traceURL != "" {
		if err := checkTraceURL(traceURL); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	if err := recording.WriteStored(&b, r); err != nil {
		return nil, err
	}
	p := &replay{r, b.Bytes(), traceURL}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", http.RedirectHandler(basePath, http.StatusFound))
	mux.HandleFunc("GET "+basePath+"{$}", livepage.Serve)
	mux.HandleFunc("GET "+basePath+"live", livepage.Serve)
	mux.HandleFunc("GET "+basePath+"profile", p.profile("profile.pb.gz", pprof.ByCode))
	mux.HandleFunc("GET "+basePath+"address", p.profile("address.pb.gz", pprof.ByAddress))
	mux.HandleFunc("GET "+basePath+"snapshot", p.snapshot)
	mux.HandleFunc("GET "+basePath+"recording", p.recording)
	return mux, nil
}

// replay answers from a recording.
type replay struct {
	r        *recording.Recording
	stored   []byte // what the page asks for
	traceURL string
}

func (p *replay) profile(name string, build builder) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		spans, err := flagOf(r, "spans")
		if r.URL.Query().Has("seconds") {
			err = errors.Join(err, errors.New("seconds: this is a recording, whose time is over"))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		opts := []pprof.Option{pprof.WithExecutables(p.r.Executables)}
		if spans {
			opts = append(opts, pprof.WithSpans())
		}
		if !endpoint.Begin(w) {
			return
		}
		var b bytes.Buffer
		if err := pprof.Write(&b, build(p.r.Snapshot, opts...)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		attachment(w, name)
		// An error here is the client's: it has left.
		_, _ = w.Write(b.Bytes())
	}
}

func (p *replay) snapshot(w http.ResponseWriter, r *http.Request) {
	sel, err := selectionOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !endpoint.Begin(w) {
		return
	}
	sel.later = true
	d := document(p.r, sel)
	header(w, "application/json; charset=utf-8")
	_ = d.write(w)
}

func (p *replay) recording(w http.ResponseWriter, r *http.Request) {
	stored, err := flagOf(r, "stored")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !endpoint.Begin(w) {
		return
	}
	attachment(w, recordingName(p.r))
	w.Header().Set(livepage.TraceURL, p.traceURL)
	// An error here is the client's: it has left.
	if stored {
		_, _ = w.Write(p.stored)
	} else {
		_ = recording.Write(w, p.r)
	}
}
