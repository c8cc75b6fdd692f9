package summary

import (
	"cmp"
	"strconv"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// Known is a number of bytes, or -1 where it is not known: null in JSON.
type Known int64

// MarshalJSON writes the number, or null.
func (k Known) MarshalJSON() ([]byte, error) {
	if k < 0 {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, int64(k), 10), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (k *Known) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*k = -1
		return nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	*k = Known(n)
	return err
}

// WorkingSet is what the windows of one region showed.
type WorkingSet struct {
	Region  string         `json:"region"`
	Label   string         `json:"label"` // see Region.Label
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

	Touched    Known `json:"touched_bytes"`
	New        Known `json:"new_bytes"`
	Reused     Known `json:"reused_bytes"`
	Reread     Known `json:"reread_bytes"` // of reused: from the disk again
	Mapped     Known `json:"mapped_bytes"`
	Never      Known `json:"never_touched_bytes"`
	Touched1s  Known `json:"touched_1s_bytes"`
	Touched10s Known `json:"touched_10s_bytes"`
	Touched60s Known `json:"touched_60s_bytes"`
	Idle30s    Known `json:"idle_30s_bytes"`
	Idle2m     Known `json:"idle_2m_bytes"`
	Idle10m    Known `json:"idle_10m_bytes"`

	// The standard errors of those sizes; 0 where nothing was left out, or nothing of that kind was seen.
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
	var names []string
	for i := range s.Regions {
		names = append(names, s.Regions[i].Name)
	}
	labels := make(map[string]string, len(names))
	for i, l := range Labels(names) {
		labels[names[i]] = l
	}
	for _, ws := range sets {
		name := s.RegionOf(ws.Region).Name
		w := WorkingSet{Region: name, Label: cmp.Or(labels[name], name), Sample: ws.Sample, Windows: []RegionWindow{}, Curve: []CurvePoint{}, Misses: []MissPoint{}}
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

// sizes are those of a window, from touched to idle.
func (w *RegionWindow) sizes() []*Known {
	return []*Known{&w.Touched, &w.New, &w.Reused, &w.Reread, &w.Mapped, &w.Never, &w.Touched1s, &w.Touched10s, &w.Touched60s, &w.Idle30s, &w.Idle2m, &w.Idle10m}
}

// Sampled reports whether sizes of the window are estimates, because of what was left out in it or in earlier ones.
func (w *RegionWindow) Sampled() bool {
	lookBack := w.NewError + w.ReusedError + w.NeverError + w.Touched10sError + w.Idle30sError + w.Idle2mError + w.Idle10mError
	return w.Observed > 0 && w.Observed < 1 || lookBack != 0
}

func regionWindow(r *profiler.RegionWindow, start time.Duration) RegionWindow {
	w := RegionWindow{From: r.Start - start, To: r.End - start}
	if r.Err != nil {
		w.Error = r.Err.Error()
		for _, size := range w.sizes() {
			*size = -1
		}
		return w
	}
	w.Phase, w.Observed = r.Phase(), r.Share
	for i, n := range []int64{r.Touched, r.New, r.Reused, r.Reread, r.Mapped, r.Never, r.Touched1s, r.Touched10s, r.Touched60s, r.Idle30s, r.Idle2m, r.Idle10m} {
		*w.sizes()[i] = Known(n)
	}
	e := &r.Errors
	w.TouchedError, w.NewError, w.ReusedError, w.NeverError = e.Touched, e.New, e.Reused, e.Never
	w.Touched1sError, w.Touched10sError, w.Touched60sError = e.Touched1s, e.Touched10s, e.Touched60s
	w.Idle30sError, w.Idle2mError, w.Idle10mError = e.Idle30s, e.Idle2m, e.Idle10m
	for actor, a := range r.ByActor {
		w.Actors = append(w.Actors, WindowActor{actor.String(), a.Touched, a.Error})
	}
	return w
}
