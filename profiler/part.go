package profiler

import (
	"iter"
	"time"
)

// part is what of a region was observed all through a window.
type part struct {
	SamplingStep
	chooser chooser
	granule int64
	since   time.Duration // when the window's observation began
}

// partIn returns what of a region was observed all through a window that begins with its arming: what was
// observed before that in the window, for a moment, is not meant.
func (r *RegionStats) partIn(d *Snapshot) part {
	p := part{since: d.StartMono, granule: int64(r.Granule)}
	if r.Rearms > 0 && len(r.Mappings) > 0 {
		p.since = r.Mappings[0].Since
		for _, m := range r.Mappings {
			p.since = min(p.since, m.Since)
		}
		p.since = max(p.since, d.StartMono)
	}
	if p.SamplingStep = r.coarsest(p.since, d.EndMono); r.sampled != nil {
		p.chooser = r.sampled.chooser
	}
	return p
}

// has reports whether a granule is in the part.
func (p part) has(granule uint64) bool {
	return p.limit == allBlocks || p.chooser.has(int64(granule)*p.granule, p.limit)
}

func (p part) block(granule uint64) uint64 { return granule * uint64(p.granule) >> p.chooser.shift }

// scale is for how many blocks each one stands.
func (p part) scale() float64 { return 1 / p.Share() }

// bytes estimates the size of a set, of which the granules in the part are given, and its standard error.
func (p part) bytes(granules iter.Seq[uint64]) (bytes, err int64) {
	blocks := make(map[uint64]float64)
	for g := range granules {
		blocks[p.block(g)] += float64(p.granule) * p.scale()
	}
	var all spread
	for _, v := range blocks {
		all.add(v)
	}
	return int64(all.sum), int64(all.error(p.SamplingStep))
}
