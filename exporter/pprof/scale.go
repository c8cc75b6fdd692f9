package pprof

import (
	"math"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// scale is by what the values of a sample are multiplied where only a part of a region was observed, so that
// they stand for all of it. Viewers expect that of a profile.
type scale struct{ faults, touched, stall float64 }

var unscaled = scale{1, 1, 1}

// rounder rounds scaled values so that their sum stays what it is: each sample takes over what the one before
// was rounded by.
type rounder struct{ faults, touched, stall float64 }

func (r *rounder) scaled(v value, by scale) value {
	if by == unscaled {
		return v
	}
	return value{
		faults: carry(&r.faults, float64(v.faults)*by.faults), touched: carry(&r.touched, float64(v.touched)*by.touched),
		stall: time.Duration(carry(&r.stall, float64(v.stall)*by.stall)),
	}
}

func carry(left *float64, v float64) int64 {
	n := math.Round(v + *left)
	*left += v - n
	return int64(n)
}

// ratio is how much more an estimate is than what was seen.
func ratio(estimate, seen float64) float64 {
	if seen == 0 {
		return 1
	}
	return estimate / seen
}

// regionScale is that of all samples of a region.
func regionScale(r *profiler.RegionStats) scale {
	if len(r.Sampling) == 0 {
		return unscaled
	}
	e := r.Estimate
	return scale{ratio(e.Faults, float64(r.Faults)), ratio(e.Touched, float64(r.Touched)), ratio(float64(e.Stall), float64(r.Stall.Sum))}
}

// groupScales are those of the samples of each group: it may have been seen at another time than the rest, when
// another share was observed.
func groupScales(s *profiler.Snapshot) map[cellKey]scale {
	m := make(map[cellKey]scale)
	for _, g := range s.Groups {
		if r := s.RegionOf(g.Region); len(r.Sampling) > 0 {
			m[cellKey{region: g.Region, stack: g.Stack, access: g.Access, source: g.Source, actor: g.Actor}] = scale{
				ratio(g.Scaled.Faults, float64(g.Faults)), regionScale(r).touched, ratio(float64(g.Scaled.Stall), float64(g.Stall)),
			}
		}
	}
	return m
}

// scaleOf is that of a cell.
func (c *cell) scaleOf(s *profiler.Snapshot, groups map[cellKey]scale) scale {
	k := c.cellKey
	k.span = 0
	if of, ok := groups[k]; ok {
		return of
	}
	return regionScale(s.RegionOf(c.region))
}
