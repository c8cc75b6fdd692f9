package pprof

import "github.com/firsttouch/firsttouch/profiler"

// accountant gives out the touched bytes of one region: each granule once, to the first that asks
// for it, and never more than the region's total in all. The total was counted while the region
// grew, so the extent that its last granule has now may be too much.
type accountant struct {
	r    *profiler.RegionStats
	left int64
	seen map[int64]*chunk // by number of the granule / chunkGranules
	near *chunk           // the last one, of number at: neighbours are touched after each other
	at   int64
}

// chunkGranules is how many granules one bitmap is for: regions may be large and hardly touched.
const chunkGranules = 1 << 15

type chunk [chunkGranules / 64]uint64

func newAccountant(r *profiler.RegionStats) *accountant {
	return &accountant{r: r, left: r.Touched, seen: make(map[int64]*chunk)}
}

// take returns the bytes that the granule at the offset still has to give.
func (a *accountant) take(offset int64) int64 {
	g := offset / int64(a.r.Granule)
	if a.near == nil || a.at != g/chunkGranules {
		a.at = g / chunkGranules
		if a.near = a.seen[a.at]; a.near == nil {
			a.near = new(chunk)
			a.seen[a.at] = a.near
		}
	}
	word, bit := &a.near[g%chunkGranules/64], uint64(1)<<(g%64)
	if *word&bit != 0 {
		return 0
	}
	*word |= bit
	n := min(a.r.GranuleBytes(g*int64(a.r.Granule)), a.left)
	a.left -= n
	return n
}
