package agent

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/firsttouch/firsttouch/internal/endpoint"
	"github.com/firsttouch/firsttouch/profiler"
)

// WindowsSchema names the form of WindowsDocument, as DocumentSchema does.
const WindowsSchema = "firsttouch/windows/v1"

// WindowsDocument is what the windows of WithWindows showed. Sizes are bytes and times nanoseconds.
type WindowsDocument struct {
	Schema  string               `json:"schema"`   // WindowsSchema
	EveryNS int64                `json:"every_ns"` // 0: there are no windows, and Reason says why
	Reason  string               `json:"reason,omitempty"`
	Regions []DocumentWorkingSet `json:"regions"`
}

// DocumentWorkingSet is one region, see profiler.WorkingSet.
type DocumentWorkingSet struct {
	Region  string               `json:"region"`
	Phase   string               `json:"phase,omitempty"` // of the last window
	Windows []DocumentWindow     `json:"windows"`         // the last 256, oldest first
	Curve   []DocumentCurvePoint `json:"curve"`
	Misses  []DocumentMissPoint  `json:"misses"`
	Sample  float64              `json:"miss_sample"` // share of the granules that misses follows
}

// DocumentWindow is one window, see profiler.RegionWindow. Sizes and a share that are not known are null.
type DocumentWindow struct {
	StartNS int64  `json:"start_ns"` // since the start of the snapshot
	EndNS   int64  `json:"end_ns"`
	Error   string `json:"error,omitempty"` // why it is not known
	// ObservedShare of the region was observed all through the window. Below 1 the sizes are estimates from it, and
	// those that look beyond the window, from new to idle without mapped, are from the least share of all windows.
	ObservedShare *float64 `json:"observed_share"`

	Touched    *int64 `json:"touched_bytes"`
	New        *int64 `json:"new_bytes"`
	Reused     *int64 `json:"reused_bytes"`
	Reread     *int64 `json:"reread_bytes"` // of reused: from the disk again
	Mapped     *int64 `json:"mapped_bytes"`
	Never      *int64 `json:"never_touched_bytes"`
	Touched1s  *int64 `json:"touched_1s_bytes"`
	Touched10s *int64 `json:"touched_10s_bytes"`
	Touched60s *int64 `json:"touched_60s_bytes"`
	Idle30s    *int64 `json:"idle_30s_bytes"`
	Idle2m     *int64 `json:"idle_2m_bytes"`
	Idle10m    *int64 `json:"idle_10m_bytes"`

	// The standard errors of those sizes. Absent is 0: nothing was left out, or nothing of that kind was seen.
	TouchedError    int64 `json:"touched_bytes_error,omitempty"`
	NewError        int64 `json:"new_bytes_error,omitempty"`
	ReusedError     int64 `json:"reused_bytes_error,omitempty"`
	NeverError      int64 `json:"never_touched_bytes_error,omitempty"`
	Touched1sError  int64 `json:"touched_1s_bytes_error,omitempty"`
	Touched10sError int64 `json:"touched_10s_bytes_error,omitempty"`
	Touched60sError int64 `json:"touched_60s_bytes_error,omitempty"`
	Idle30sError    int64 `json:"idle_30s_bytes_error,omitempty"`
	Idle2mError     int64 `json:"idle_2m_bytes_error,omitempty"`
	Idle10mError    int64 `json:"idle_10m_bytes_error,omitempty"`

	// Actors divides what was touched of the Go heap by who touched it first; absent for other regions.
	Actors []DocumentWindowActor `json:"actors,omitempty"`
}

// DocumentWindowActor is what one of program, gc, runtime, profiler and unknown touched before the others, with its
// standard error.
type DocumentWindowActor struct {
	Actor        string `json:"actor"`
	Touched      int64  `json:"touched_bytes"`
	TouchedError int64  `json:"touched_bytes_error,omitempty"`
}

// DocumentCurvePoint is the mean size of the working set of so many windows in a row.
type DocumentCurvePoint struct {
	Windows  int   `json:"windows"`
	LengthNS int64 `json:"length_ns"`
	Bytes    int64 `json:"bytes"`
	Error    int64 `json:"error_bytes,omitempty"` // standard error; absent is 0: nothing was left out
}

// DocumentMissPoint is a point of the miss-ratio curve, see profiler.MissPoint.
type DocumentMissPoint struct {
	CacheBytes int64   `json:"cache_bytes"`
	Miss       float64 `json:"miss"`
	Error      float64 `json:"error"`  // standard error from sampling; 0 where miss_sample is 1
	Reused     float64 `json:"reused"` // share with a reuse distance below cache_bytes, but not below that of the point before
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
	d := &WindowsDocument{Schema: WindowsSchema, Regions: []DocumentWorkingSet{}}
	switch {
	case a.prof == nil:
		d.Reason = a.Reason()
		return d
	case win == nil:
		d.Reason = "windows are off: they arm the regions again and again, which WithWindows or FIRSTTOUCH_WINDOWS=10s switches on"
		return d
	}
	d.EveryNS = int64(win.every)
	start := a.prof.Snapshot().StartMono
	for _, ws := range win.WorkingSets() {
		d.Regions = append(d.Regions, documentWorkingSet(ws, a.prof.RegionName(ws.Region), start))
	}
	return d
}

func documentWorkingSet(ws profiler.WorkingSet, name string, start time.Duration) DocumentWorkingSet {
	d := DocumentWorkingSet{Region: name, Sample: ws.Sample, Windows: []DocumentWindow{}, Curve: []DocumentCurvePoint{}, Misses: []DocumentMissPoint{}}
	for _, w := range ws.Windows {
		d.Phase = string(w.Phase())
		d.Windows = append(d.Windows, documentWindow(&w, start))
	}
	for _, p := range ws.Curve {
		d.Curve = append(d.Curve, DocumentCurvePoint{p.Windows, int64(p.Length), p.Bytes, p.Error})
	}
	reused := ws.Distances()
	for i, p := range ws.Misses {
		d.Misses = append(d.Misses, DocumentMissPoint{p.Bytes, p.Miss, p.Error, reused[i]})
	}
	return d
}

func documentWindow(w *profiler.RegionWindow, start time.Duration) DocumentWindow {
	d := DocumentWindow{StartNS: int64(w.Start - start), EndNS: int64(w.End - start)}
	if w.Err != nil {
		d.Error = w.Err.Error()
		return d
	}
	if w.Share > 0 {
		d.ObservedShare = &w.Share
	}
	known := func(n int64) *int64 {
		if n < 0 {
			return nil
		}
		return &n
	}
	d.Touched, d.New, d.Reused, d.Reread = known(w.Touched), known(w.New), known(w.Reused), known(w.Reread)
	d.Mapped, d.Never = known(w.Mapped), known(w.Never)
	d.Touched1s, d.Touched10s, d.Touched60s = known(w.Touched1s), known(w.Touched10s), known(w.Touched60s)
	d.Idle30s, d.Idle2m, d.Idle10m = known(w.Idle30s), known(w.Idle2m), known(w.Idle10m)
	e := &w.Errors
	d.TouchedError, d.NewError, d.ReusedError, d.NeverError = e.Touched, e.New, e.Reused, e.Never
	d.Touched1sError, d.Touched10sError, d.Touched60sError = e.Touched1s, e.Touched10s, e.Touched60s
	d.Idle30sError, d.Idle2mError, d.Idle10mError = e.Idle30s, e.Idle2m, e.Idle10m
	for actor, a := range w.ByActor {
		d.Actors = append(d.Actors, DocumentWindowActor{actor.String(), a.Touched, a.Error})
	}
	return d
}
