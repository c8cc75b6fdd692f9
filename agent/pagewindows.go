package agent

import "github.com/firsttouch/firsttouch/profiler"

// pageSet is one row of the table of working sets.
type pageSet struct {
	Name    string
	Windows int
	Phase   profiler.Phase
	Last    profiler.RegionWindow // the last one
	Curve   []profiler.CurvePoint
}

func pageSets(s *profiler.Snapshot, sets []profiler.WorkingSet) (out []pageSet) {
	for _, ws := range sets {
		if n := len(ws.Windows); n > 0 {
			last := ws.Windows[n-1]
			out = append(out, pageSet{s.Regions[ws.Region].Name, n, last.Phase(), last, ws.Curve})
		}
	}
	return out
}

// Length of the last window.
func (p pageSet) Length() string { return showDuration(p.Last.End - p.Last.Start) }

// Idle is what was not touched for 30 s, where that is known.
func (p pageSet) Idle() (string, error) {
	if p.Last.Err != nil || p.Last.Idle30s < 0 {
		return "–", nil
	}
	return showBytes(p.Last.Idle30s)
}
