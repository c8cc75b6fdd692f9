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
	From       time.Duration  `json:"from_ns"` // since the start of the profile
	To         time.Duration  `json:"to_ns"`
	Error      string         `json:"error,omitempty"` // why nothing is known of it
	Phase      profiler.Phase `json:"phase"`
	Touched    int64          `json:"touched_bytes"`
	New        int64          `json:"new_bytes"`
	Reused     int64          `json:"reused_bytes"`
	Reread     int64          `json:"reread_bytes"`
	Mapped     int64          `json:"mapped_bytes"`
	Never      int64          `json:"never_touched_bytes"`
	Touched10s int64          `json:"touched_10s_bytes"`
	Touched60s int64          `json:"touched_60s_bytes"`
	Idle30s    int64          `json:"idle_30s_bytes"`
	Idle2m     int64          `json:"idle_2m_bytes"`
	Idle10m    int64          `json:"idle_10m_bytes"`
}

// CurvePoint is the mean size of the working set of so many windows in a row.
type CurvePoint struct {
	Windows int           `json:"windows"`
	Length  time.Duration `json:"length_ns"`
	Bytes   int64         `json:"bytes"`
	Error   int64         `json:"error_bytes,omitempty"` // standard error, where a part of the region was observed
}

// MissPoint is the share of first touches that a cache of so many bytes would miss, with its standard error.
type MissPoint struct {
	Bytes int64   `json:"cache_bytes"`
	Miss  float64 `json:"miss"`
	Error float64 `json:"error"`
}

// WorkingSets puts what the windows showed into words. It is empty, not nil, where there are none.
func WorkingSets(s *profiler.Snapshot, sets []profiler.WorkingSet) []WorkingSet {
	out := []WorkingSet{}
	for _, ws := range sets {
		w := WorkingSet{Region: s.Regions[ws.Region].Name, Sample: ws.Sample, Windows: []RegionWindow{}, Curve: []CurvePoint{}, Misses: []MissPoint{}}
		for i := range ws.Windows {
			r := &ws.Windows[i]
			w.Phase = r.Phase()
			to := RegionWindow{From: r.Start - s.StartMono, To: r.End - s.StartMono, Phase: w.Phase,
				Touched: r.Touched, New: r.New, Reused: r.Reused, Reread: r.Reread, Mapped: r.Mapped, Never: r.Never,
				Touched10s: r.Touched10s, Touched60s: r.Touched60s, Idle30s: r.Idle30s, Idle2m: r.Idle2m, Idle10m: r.Idle10m}
			if r.Err != nil {
				to.Error = r.Err.Error()
			}
			w.Windows = append(w.Windows, to)
		}
		for _, p := range ws.Curve {
			w.Curve = append(w.Curve, CurvePoint(p))
		}
		for _, p := range ws.Misses {
			w.Misses = append(w.Misses, MissPoint(p))
		}
		out = append(out, w)
	}
	return out
}
