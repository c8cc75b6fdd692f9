package recording

import (
	"errors"
	"math"

	"github.com/firsttouch/firsttouch/profiler"
)

// regionWindow is one window of one region. Sizes that are not known are -1.
type regionWindow struct {
	profiler.RegionWindow
	failed string
}

func visitWindow(c *columns, w *regionWindow) {
	number(c, 1, &w.Region)
	step(c, 2, &w.Start)
	step(c, 3, &w.End)
	text(c, 4, &w.failed)
	number(c, 5, &w.Touched)
	number(c, 6, &w.New)
	number(c, 7, &w.Reused)
	number(c, 8, &w.Reread)
	number(c, 9, &w.Mapped)
	number(c, 10, &w.Never)
	number(c, 11, &w.Touched1s)
	number(c, 12, &w.Touched10s)
	number(c, 13, &w.Touched60s)
	number(c, 14, &w.Idle30s)
	number(c, 15, &w.Idle2m)
	number(c, 16, &w.Idle10m)
	real(c, 17, &w.Share)
	e := &w.Errors
	for i, p := range []*int64{&e.Touched, &e.New, &e.Reused, &e.Never, &e.Touched1s, &e.Touched10s, &e.Touched60s, &e.Idle30s, &e.Idle2m, &e.Idle10m} {
		number(c, 18+i, p)
	}
	for i := range w.Actors {
		number(c, 28+2*i, &w.Actors[i].Touched)
		number(c, 29+2*i, &w.Actors[i].Error)
	}
}

// curvePoint is one point of the curve of a region's working set.
type curvePoint struct {
	region profiler.RegionID
	profiler.CurvePoint
}

func visitCurve(c *columns, p *curvePoint) {
	number(c, 1, &p.region)
	number(c, 2, &p.Windows)
	number(c, 3, &p.Length)
	number(c, 4, &p.Bytes)
	number(c, 5, &p.Error)
}

// missPoint is one point of the miss-ratio curve of a region. Shares are in millionths.
type missPoint struct {
	region              profiler.RegionID
	bytes               int64
	miss, error, sample int64
}

func visitMiss(c *columns, p *missPoint) {
	number(c, 1, &p.region)
	number(c, 2, &p.bytes)
	number(c, 3, &p.miss)
	number(c, 4, &p.error)
	number(c, 5, &p.sample)
}

func millionths(v float64) int64 { return int64(math.Round(v * 1e6)) }

func writeWorkingSets(out *writer, sets []profiler.WorkingSet) {
	var windows []regionWindow
	var curves []curvePoint
	var misses []missPoint
	for _, s := range sets {
		for _, w := range s.Windows {
			row := regionWindow{RegionWindow: w}
			if w.Err != nil {
				row.failed = w.Err.Error()
			}
			windows = append(windows, row)
		}
		for _, p := range s.Curve {
			curves = append(curves, curvePoint{s.Region, p})
		}
		for _, p := range s.Misses {
			misses = append(misses, missPoint{s.Region, p.Bytes, millionths(p.Miss), millionths(p.Error), millionths(s.Sample)})
		}
	}
	windowTable.write(out, windows)
	curveTable.write(out, curves)
	missTable.write(out, misses)
}

// workingSets puts the rows together, by region in the order in which they were written.
func (c *contents) workingSets(regions []profiler.RegionStats) (sets []profiler.WorkingSet) {
	at, known := make(map[profiler.RegionID]int), make(map[profiler.RegionID]bool)
	for i := range regions {
		known[regions[i].ID] = true
	}
	of := func(id profiler.RegionID) *profiler.WorkingSet {
		if !known[id] {
			return nil
		}
		if _, ok := at[id]; !ok {
			at[id] = len(sets)
			sets = append(sets, profiler.WorkingSet{Region: id})
		}
		return &sets[at[id]]
	}
	for _, w := range c.windows.all() {
		if s := of(w.Region); s != nil {
			if w.failed != "" {
				w.Err = errors.New(w.failed)
			}
			s.Windows = append(s.Windows, w.RegionWindow)
		}
	}
	for _, p := range c.curves.all() {
		if s := of(p.region); s != nil {
			s.Curve = append(s.Curve, p.CurvePoint)
		}
	}
	for _, p := range c.misses.all() {
		if s := of(p.region); s != nil {
			s.Misses = append(s.Misses, profiler.MissPoint{Bytes: p.bytes, Miss: float64(p.miss) / 1e6, Error: float64(p.error) / 1e6})
			s.Sample = float64(p.sample) / 1e6
		}
	}
	return sets
}
