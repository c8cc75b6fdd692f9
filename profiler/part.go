package profiler

import "time"

// part is what of a region was observed all through a window.
type part struct {
	SamplingStep
	chooser chooser
	granule int64
	since   time.Duration // when the window's observation began
}

// partIn returns what of a region was observed all through a window. Where it was armed in the window, that is
// where its observation begins: what was observed before, for a moment, is not meant.
func (r *RegionStats) partIn(from, to time.Duration) part {
	p := part{since: from, granule: int64(r.Granule)}
	if len(r.Mappings) > 0 {
		armed := r.Mappings[0].Since
		for _, m := range r.Mappings {
			armed = min(armed, m.Since)
		}
		p.since = max(from, armed)
	}
	if p.SamplingStep = r.coarsest(p.since, to); r.sampled != nil {
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

// tally counts granules of a part.
type tally struct {
	part
	granules int
	blocks   map[uint64]int // where the part is not all
}

func (t *tally) add(granule uint64) {
	t.granules++
	if t.Share() == 1 {
		return
	}
	if t.blocks == nil {
		t.blocks = make(map[uint64]int)
	}
	t.blocks[t.block(granule)]++
}

// bytes estimates the size of what was counted, and its standard error.
func (t *tally) bytes() (bytes, err int64) {
	by := float64(t.granule) * t.scale()
	var all spread
	for _, n := range t.blocks {
		all.add(float64(n) * by)
	}
	return int64(float64(t.granules) * by), int64(all.error(t.SamplingStep))
}

func (p part) bytes(granules []uint64) (bytes, err int64) {
	t := tally{part: p}
	for _, g := range granules {
		t.add(g)
	}
	return t.bytes()
}
