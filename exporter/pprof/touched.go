package pprof

import "github.com/firsttouch/firsttouch/profiler"

// accountant gives out the touched bytes of one region: each granule once, to the first that asks
// for it, and never more than the region's total in all. The total was counted while the region
// grew, so the extent that its last granule has now may be too much.
type accountant struct {
	r    *profiler.RegionStats
	left int64
	seen map[int64]struct{}
}

func newAccountant(r *profiler.RegionStats) *accountant {
	return &accountant{r: r, left: r.Touched, seen: make(map[int64]struct{})}
}

// granule is the region offset at which the granule of an offset begins.
func (a *accountant) granule(offset int64) int64 { return offset - offset%int64(a.r.Granule) }

// take returns the bytes that the granule at the offset still has to give.
func (a *accountant) take(offset int64) int64 {
	g := a.granule(offset)
	if _, ok := a.seen[g]; ok {
		return 0
	}
	a.seen[g] = struct{}{}
	n := min(a.r.GranuleBytes(g), a.left)
	a.left -= n
	return n
}
