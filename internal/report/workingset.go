package report

import (
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// WorkingSet is what the windows of one region showed. Sizes that are not known are -1.
type WorkingSet struct {
	Region  string         `json:"region"`
	Phase   profiler.Phase `json:"phase"` // of the last window; empty where that is not known
	Windows []RegionWindow `json:"windows"`
	Curve   []CurvePoint   `json:"curve"`
	Misses  []MissPoint    `json:"misses"`
	Sample  float64        `json:"miss_sample"` // share of the granules that Misses follows
}

// RegionWindow is one window of one region.
type RegionWindow struct {
	From  time.Duration  `json:"from_ns"` // since the start of the profile
	To    time.Duration  `json:"to_ns"`
	Error string         `json:"error,omitempty"` // why nothing is known of it
	Phase profiler.Phase `json:"phase"`
	// Observed is the share of the region that was observed all through the window; 0 where that is not known. Below 1
	// the sizes are estimates from it, and those that look beyond the window, from New to Idle10m without Mapped, are from
	// the least share of all windows.
	Observed float64 `json:"observed_share"`

	Touched    int64 `json:"touched_bytes"`
	New        int64 `json:"new_bytes"`
	Reused     int64 `json:"reused_bytes"`
	Reread     int64 `json:"reread_bytes"`
	Mapped     int64 `json:"mapped_bytes"`
	Never      int64 `json:"never_touched_bytes"`
	Touched10s int64 `json:"touched_10s_bytes"`
	Touched60s int64 `json:"touched_60s_bytes"`
	Idle30s    int64 `json:"idle_30s_bytes"`
	Idle2m     int64 `json:"idle_2m_bytes"`
	Idle10m    int64 `json:"idle_10m_bytes"`

	// The standard errors of those sizes; 0 where nothing was left out, or nothing of that kind was seen.
	TouchedError    int64 `json:"touched_bytes_error,omitempty"`
	NewError        int64 `json:"new_bytes_error,omitempty"`
	ReusedError     int64 `json:"reused_bytes_error,omitempty"`
	NeverError      int64 `json:"never_touched_bytes_error,omitempty"`
	Touched10sError int64 `json:"touched_10s_bytes_error,omitempty"`
	Touched60sError int64 `json:"touched_60s_bytes_error,omitempty"`
	Idle30sError    int64 `json:"idle_30s_bytes_error,omitempty"`
	Idle2mError     int64 `json:"idle_2m_bytes_error,omitempty"`
	Idle10mError    int64 `json:"idle_10m_bytes_error,omitempty"`

	// Actors divides what was touched of the Go heap; absent for other regions.
	Actors []WindowActor `json:"actors,omitempty"`
}

// WindowActor is what of the Go heap one actor touched before the others in a window, with its standard error.
type WindowActor struct {
	Actor   string `json:"actor"` // program, gc, runtime, profiler or unknown
	Touched int64  `json:"touched_bytes"`
	Error   int64  `json:"touched_bytes_error,omitempty"`
}

// CurvePoint is the mean size of the working set of so many windows in a row.
type CurvePoint struct {
	Windows int           `json:"windows"`
	Length  time.Duration `json:"length_ns"`
	Bytes   int64         `json:"bytes"`
	Error   int64         `json:"error_bytes,omitempty"` // standard error, where a part of the region was observed
}

// MissPoint is the share of first touches that a cache of so many bytes would miss, with its standard error. Reused is the
// share with a reuse distance below it, but not below the point before.
type MissPoint struct {
	Bytes  int64   `json:"cache_bytes"`
	Miss   float64 `json:"miss"`
	Error  float64 `json:"error"`
	Reused float64 `json:"reused"`
}

// WorkingSets puts what the windows showed into words. It is empty, not nil, where there are none.
func WorkingSets(s *profiler.Snapshot, sets []profiler.WorkingSet) []WorkingSet {
	out := []WorkingSet{}
	for _, ws := range sets {
		w := WorkingSet{Region: s.RegionOf(ws.Region).Name, Sample: ws.Sample, Windows: []RegionWindow{}, Curve: []CurvePoint{}, Misses: []MissPoint{}}
		for i := range ws.Windows {
			r := &ws.Windows[i]
			w.Phase = r.Phase()
			w.Windows = append(w.Windows, regionWindow(r, s.StartMono))
		}
		for _, p := range ws.Curve {
			w.Curve = append(w.Curve, CurvePoint(p))
		}
		reused := ws.Distances()
		for i, p := range ws.Misses {
			w.Misses = append(w.Misses, MissPoint{p.Bytes, p.Miss, p.Error, reused[i]})
		}
		out = append(out, w)
	}
	return out
}

func regionWindow(r *profiler.RegionWindow, start time.Duration) RegionWindow {
	w := RegionWindow{From: r.Start - start, To: r.End - start}
	if r.Err != nil {
		w.Error = r.Err.Error()
		for _, size := range []*int64{&w.Touched, &w.New, &w.Reused, &w.Reread, &w.Mapped, &w.Never, &w.Touched10s, &w.Touched60s, &w.Idle30s, &w.Idle2m, &w.Idle10m} {
			*size = -1
		}
		return w
	}
	w.Phase, w.Observed = r.Phase(), r.Share
	w.Touched, w.New, w.Reused, w.Reread, w.Mapped, w.Never = r.Touched, r.New, r.Reused, r.Reread, r.Mapped, r.Never
	w.Touched10s, w.Touched60s, w.Idle30s, w.Idle2m, w.Idle10m = r.Touched10s, r.Touched60s, r.Idle30s, r.Idle2m, r.Idle10m
	e := &r.Errors
	w.TouchedError, w.NewError, w.ReusedError, w.NeverError = e.Touched, e.New, e.Reused, e.Never
	w.Touched10sError, w.Touched60sError = e.Touched10s, e.Touched60s
	w.Idle30sError, w.Idle2mError, w.Idle10mError = e.Idle30s, e.Idle2m, e.Idle10m
	for actor, a := range r.ByActor {
		w.Actors = append(w.Actors, WindowActor{actor.String(), a.Touched, a.Error})
	}
	return w
}
