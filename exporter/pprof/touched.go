package pprof

import (
	mathbits "math/bits"

	"github.com/firsttouch/firsttouch/profiler"
)

// accountant gives out the touched bytes of one region: each granule once, to the first that asks
// for it, and never more than the region's total in all. The total was counted while the region
// grew, so the extent that its last granule has now may be too much.
type accountant struct {
	r    *profiler.RegionStats
	left int64
	seen map[int64]uint64 // granules by number / 64: regions may be large and hardly touched
}

func newAccountant(r *profiler.RegionStats) *accountant {
	return &accountant{r: r, left: r.Touched, seen: make(map[int64]uint64)}
}

// take returns the bytes that the granule at the offset still has to give.
func (a *accountant) take(offset int64) int64 {
	g := offset / int64(a.r.Granule)
	word, bit := a.seen[g/64], uint64(1)<<(g%64)
	if word&bit != 0 {
		return 0
	}
	a.seen[g/64] = word | bit
	return a.give(a.r.GranuleBytes(g * int64(a.r.Granule)))
}

// takeRest returns what the granules from one offset to another, which begin and end granules, have to give that none
// took before. It is asked once.
func (a *accountant) takeRest(start, end int64) int64 {
	granule := int64(a.r.Granule)
	first, n := start/granule, (end-start)/granule
	bytes := end - start
	if cut := a.r.Size % granule; cut > 0 && a.r.Size > start && a.r.Size < end {
		bytes -= granule - cut // see GranuleBytes
	}
	if int64(len(a.seen)) <= n/64 {
		for word, bits := range a.seen {
			for ; bits != 0; bits &= bits - 1 {
				if g := word*64 + int64(mathbits.TrailingZeros64(bits)); g >= first && g < first+n {
					bytes -= a.r.GranuleBytes(g * granule)
				}
			}
		}
		return a.give(bytes)
	}
	for word := first / 64; word*64 < first+n; word++ {
		for bits := a.seen[word]; bits != 0; bits &= bits - 1 {
			if g := word*64 + int64(mathbits.TrailingZeros64(bits)); g >= first && g < first+n {
				bytes -= a.r.GranuleBytes(g * granule)
			}
		}
	}
	return a.give(bytes)
}

func (a *accountant) give(bytes int64) int64 {
	n := max(min(bytes, a.left), 0)
	a.left -= n
	return n
}
