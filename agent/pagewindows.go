package agent

import (
	"slices"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

// pageSet is one row of the table of working sets: a working set with its last window.
type pageSet struct {
	*summary.WorkingSet
	Last *summary.RegionWindow
}

// pageSize is a size in bytes, below 0 where it is not known, and its standard error, 0 where it has none.
type pageSize struct{ Bytes, Error int64 }

// Sets are the working sets that have windows.
func (c *pageContent) Sets() (out []pageSet) {
	for i := range c.WorkingSets {
		ws := &c.WorkingSets[i]
		if n := len(ws.Windows); n > 0 {
			out = append(out, pageSet{ws, &ws.Windows[n-1]})
		}
	}
	return out
}

// Length of the last window.
func (p pageSet) Length() string { return summary.Duration(p.Last.To - p.Last.From) }

// Observed is the share of the region that was observed in the last window, or empty where all of it was.
func (p pageSet) Observed() string {
	if p.Last.Observed == 0 || p.Last.Observed == 1 {
		return ""
	}
	return summary.Percent(p.Last.Observed)
}

// Sizes are the columns of the last window, from touched to never touched.
func (p pageSet) Sizes() []pageSize {
	w := p.Last
	return []pageSize{{int64(w.Touched), w.TouchedError}, {int64(w.New), w.NewError}, {int64(w.Reused), w.ReusedError}, {int64(w.Reread), 0},
		{int64(w.Idle30s), w.Idle30sError}, {int64(w.Idle2m), w.Idle2mError}, {int64(w.Idle10m), w.Idle10mError}, {int64(w.Never), w.NeverError}}
}

// Sampled reports whether something in the table of working sets is an estimate.
func (c *pageContent) Sampled() bool {
	return slices.ContainsFunc(c.Sets(), func(p pageSet) bool {
		return p.Observed() != "" || slices.ContainsFunc(p.Sizes(), func(s pageSize) bool { return s.Error != 0 }) ||
			slices.ContainsFunc(p.Curve, func(x summary.CurvePoint) bool { return x.Error != 0 })
	})
}
