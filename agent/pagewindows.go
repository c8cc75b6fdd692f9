package agent

import (
	"slices"

	"github.com/firsttouch/firsttouch/profiler"
)

// pageSet is one row of the table of working sets.
type pageSet struct {
	Name    string
	Windows int
	Phase   profiler.Phase
	Last    profiler.RegionWindow // the last one
	Curve   []profiler.CurvePoint
}

// pageSize is a size in bytes, below 0 where it is not known, and its standard error, 0 where it has none.
type pageSize struct{ Bytes, Error int64 }

func pageSets(s *profiler.Snapshot, sets []profiler.WorkingSet) (out []pageSet) {
	for _, ws := range sets {
		if n := len(ws.Windows); n > 0 {
			last := ws.Windows[n-1]
			out = append(out, pageSet{s.RegionOf(ws.Region).Name, n, last.Phase(), last, ws.Curve})
		}
	}
	return out
}

// Length of the last window.
func (p pageSet) Length() string { return showDuration(p.Last.End - p.Last.Start) }

// Observed is the share of the region that was observed in the last window, or empty where all of it was.
func (p pageSet) Observed() string {
	if p.Last.Share == 0 || p.Last.Share == 1 {
		return ""
	}
	return showPercent(p.Last.Share)
}

// Sizes are the columns of the last window, from touched to never touched.
func (p pageSet) Sizes() []pageSize {
	w, e := &p.Last, &p.Last.Errors
	return []pageSize{{w.Touched, e.Touched}, {w.New, e.New}, {w.Reused, e.Reused}, {w.Reread, 0},
		{w.Idle30s, e.Idle30s}, {w.Idle2m, e.Idle2m}, {w.Idle10m, e.Idle10m}, {w.Never, e.Never}}
}

// pageActor is what one actor touched first in the last window.
type pageActor struct {
	Name string
	pageSize
}

// Actors are those of the Go heap, none for other regions.
func (p pageSet) Actors() (list []pageActor) {
	for actor, a := range p.Last.ByActor {
		list = append(list, pageActor{actor.String(), pageSize{a.Touched, a.Error}})
	}
	return list
}

// Sampled reports whether something in the table of working sets is an estimate.
func (c *pageContent) Sampled() bool {
	return slices.ContainsFunc(c.Sets, func(p pageSet) bool {
		return p.Observed() != "" || slices.ContainsFunc(p.Sizes(), func(s pageSize) bool { return s.Error != 0 }) ||
			slices.ContainsFunc(p.Curve, func(x profiler.CurvePoint) bool { return x.Error != 0 })
	})
}
