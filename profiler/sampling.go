package profiler

import (
	"math"
	"math/bits"
	"time"
)

// SamplingStep is how much of a region was observed from a moment on. What is not observed is plain
// memory and costs nothing.
type SamplingStep struct {
	Since time.Duration // CLOCK_MONOTONIC
	// Blocks is how many blocks the region had, and Sampled how many of them were observed: the first ones
	// by a hash of their number, so that fewer are always a part of more. 0 is a pause.
	Blocks, Sampled int
	BlockBytes      int64

	limit uint64
}

// Share is the part of the region that was observed, 0 to 1.
func (s SamplingStep) Share() float64 {
	if s.Sampled >= s.Blocks {
		return 1
	}
	return float64(s.Sampled) / float64(s.Blocks)
}

// Estimate is what a region would have shown had all of it been observed, estimated without bias from
// the blocks that were, in the time in which any were. The errors are standard errors, from how much the blocks
// differ; they are 0 where no block was left out, and as large as the estimate where only one was observed.
type Estimate struct {
	Faults, FaultsError   float64
	Touched, TouchedError float64 // bytes
	Stall, StallError     time.Duration
	Paused                time.Duration // in which nothing was observed: what happened then is in no field
}

// Scaled are the totals of a group, each fault counted as often as its Weight says.
type Scaled struct {
	Faults, Bytes float64
	Stall         time.Duration
}

func (s *Scaled) add(weight float64, bytes uint64, stall time.Duration) {
	s.Faults += weight
	s.Bytes += weight * float64(bytes)
	s.Stall += time.Duration(weight * float64(stall))
}

// mostSteps bounds the history of a region's sampling.
const mostSteps = 128

// sampled is what the aggregate keeps to estimate what a region would have shown.
type sampled struct {
	chooser
	total    Scaled
	error    Scaled // of steps that are over: standard errors, added up as if they were the same blocks'
	blocks   map[uint64]Scaled
	coarsest uint64 // lowest limit of steps that were forgotten
	foreign  bool   // faults come with their weights, see SnapshotBuilder
}

// step begins a step. What it observes less than the one before counts no more from now on.
func (r *RegionStats) step(c chooser, s SamplingStep) {
	if r.sampled == nil {
		r.sampled = &sampled{coarsest: allBlocks, total: Scaled{Faults: float64(r.Faults), Stall: r.Stall.Sum}}
	}
	p := r.sampled
	p.chooser = c
	if now := r.now(); len(r.Sampling) == 0 || now.limit != s.limit || now.Sampled > s.Sampled || now.Blocks > s.Blocks {
		p.error = p.sumError(r.now())
		p.blocks = make(map[uint64]Scaled)
	} // else the same sample goes on, of more blocks
	if len(r.Sampling) == mostSteps {
		if l := r.Sampling[0].limit; l != 0 {
			p.coarsest = min(p.coarsest, l)
		}
		r.Sampling = r.Sampling[1:]
	}
	r.Sampling = append(r.Sampling, s)
}

// someBlocks is the limit for the Go heap, of which only chosen blocks are armed: whatever comes from it is in the sample.
const someBlocks = allBlocks - 1

// heapStep notes how much of the Go heap is observed from a moment on.
func (r *RegionStats) heapStep(h *HeapStats, since time.Duration) {
	s := SamplingStep{Since: since, Blocks: h.Blocks, Sampled: h.Observed, BlockBytes: heapBlock, limit: someBlocks}
	switch {
	case h.Observed == h.Blocks && len(r.Sampling) == 0:
		return // nothing was ever left out
	case h.Observed == h.Blocks:
		s.limit = allBlocks
	case h.Observed == 0:
		s.limit = 0
	}
	if now := r.now(); len(r.Sampling) == 0 || now.Blocks != s.Blocks || now.Sampled != s.Sampled {
		r.step(chooser{shift: uint(bits.TrailingZeros(heapBlock))}, s)
	}
}

// now is the step that goes on.
func (r *RegionStats) now() SamplingStep {
	if len(r.Sampling) == 0 {
		return SamplingStep{limit: allBlocks}
	}
	return r.Sampling[len(r.Sampling)-1]
}

// Share is the part of the region that is observed now, 0 to 1.
func (r *RegionStats) Share() float64 { return r.now().Share() }

// weight is for how many first touches a fault stands.
func (r *RegionStats) weight(f *Fault) float64 {
	switch {
	case r.sampled == nil:
		return 1
	case r.sampled.foreign:
		return f.Weight
	}
	for i := len(r.Sampling) - 1; i >= 0; i-- {
		s := &r.Sampling[i]
		switch {
		case s.Since > f.Time:
			continue
		case s.limit == allBlocks:
			return 1
		case !r.sampled.has(f.Offset, s.limit):
			return 0
		}
		return float64(s.Blocks) / float64(s.Sampled)
	}
	return 1
}

// add counts a fault, of which so many bytes had not been touched before.
func (p *sampled) add(f *Fault, fresh uint64) {
	p.total.add(f.Weight, fresh, f.Stall)
	if f.Weight != 0 {
		b := p.blocks[uint64(f.Offset)>>p.shift]
		b.add(f.Weight, fresh, f.Stall)
		p.blocks[uint64(f.Offset)>>p.shift] = b
	}
}

// sumError adds the errors of a step that is over to those of the steps before it.
func (p *sampled) sumError(s SamplingStep) Scaled {
	e := p.error
	if s.Share() == 1 || s.Sampled == 0 {
		return e
	}
	var faults, bytes, stall spread
	for _, b := range p.blocks {
		faults.add(b.Faults)
		bytes.add(b.Bytes)
		stall.add(float64(b.Stall))
	}
	e.Faults += faults.error(s)
	e.Bytes += bytes.error(s)
	e.Stall += time.Duration(stall.error(s))
	return e
}

// spread is the sum of a value over the sampled blocks, and of its squares. Blocks without any need not be
// added.
type spread struct{ sum, squares float64 }

func (p *spread) add(v float64) { p.sum, p.squares = p.sum+v, p.squares+v*v }

// error is the standard error of the sum of values that were scaled to all blocks: of a simple random
// sample without replacement. One block says nothing of how much blocks differ: the error is as large as the sum then.
func (p *spread) error(s SamplingStep) float64 {
	k := float64(s.Sampled)
	switch {
	case s.Share() == 1:
		return 0
	case k < 2:
		return p.sum
	}
	return math.Sqrt((1 - s.Share()) * k / (k - 1) * max(p.squares-p.sum*p.sum/k, 0))
}

// coarsest returns the step at which the least of the region was observed in a time, pauses left out.
func (r *RegionStats) coarsest(from, to time.Duration) SamplingStep {
	out := SamplingStep{limit: allBlocks}
	seen := false
	for i, s := range r.Sampling {
		over := i+1 < len(r.Sampling) && r.Sampling[i+1].Since <= from
		if over || s.Since > to || s.limit == 0 {
			continue
		}
		if s.limit <= out.limit {
			out, seen = s, true
		}
	}
	if seen && r.sampled != nil && from < r.Sampling[0].Since && r.sampled.coarsest < out.limit && r.sampled.coarsest != 0 {
		// A step that is forgotten observed less: about that part of the blocks.
		out.Sampled = max(int(float64(out.Blocks)*float64(r.sampled.coarsest)/math.MaxUint64), 1)
		out.limit = r.sampled.coarsest
	}
	return out
}

// touchedIn estimates the touched bytes of a set of granules, from those blocks that were observed all the
// time. Blocks that joined later would count what was touched before as if it were new.
func (r *RegionStats) touchedIn(touched *bitmap, s SamplingStep) (bytes, err float64) {
	if s.limit == allBlocks || s.Sampled == 0 {
		touched.each(func(g uint64) bool { bytes += float64(r.extent(g)); return true })
		return bytes, 0
	}
	scale := float64(s.Blocks) / float64(s.Sampled)
	var all spread
	block, in, sum := uint64(math.MaxUint64), false, 0.0
	touched.each(func(g uint64) bool {
		offset := int64(g) * int64(r.Granule)
		if b := uint64(offset) >> r.sampled.shift; b != block {
			all.add(sum * scale)
			block, in, sum = b, r.sampled.has(offset, s.limit), 0
		}
		if in {
			sum += float64(r.extent(g))
		}
		return true
	})
	all.add(sum * scale)
	return all.sum, all.error(s)
}

// estimate fills in the estimate of a snapshot.
func (r *RegionStats) estimate(from, to time.Duration) {
	if r.Past > 0 {
		return // it was, of each one that was added up
	}
	if r.sampled == nil {
		r.Estimate = Estimate{Faults: float64(r.Faults), Touched: float64(r.Touched), Stall: r.Stall.Sum}
		return
	}
	t, e := r.sampled.total, r.sampled.sumError(r.now())
	r.Estimate = Estimate{Faults: t.Faults, FaultsError: e.Faults, Stall: t.Stall, StallError: e.Stall}
	r.Estimate.Touched, r.Estimate.TouchedError = t.Bytes, e.Bytes
	if !r.sampled.foreign {
		r.Estimate.Touched, r.Estimate.TouchedError = r.touchedIn(&r.touched, r.coarsest(from, to))
	}
	r.Estimate.Paused = r.paused(from, to)
}

// freeze is what a snapshot needs of it.
func (p *sampled) freeze() *sampled {
	if p == nil {
		return nil
	}
	return &sampled{chooser: p.chooser, total: p.total, coarsest: p.coarsest, foreign: p.foreign}
}

// estimateSince fills in the estimate of what happened in a window, whose faults' blocks sum up to blocks.
func (r *RegionStats) estimateSince(old *RegionStats, from, to time.Duration, blocks map[uint64]Scaled) {
	if r.Past > 0 {
		e, o := &r.Estimate, &old.Estimate
		e.Faults, e.Touched, e.Stall = e.Faults-o.Faults, e.Touched-o.Touched, e.Stall-o.Stall
		return
	}
	if r.sampled == nil {
		r.estimate(from, to)
		return
	}
	total := r.sampled.total
	if old.sampled != nil {
		total.Bytes -= old.sampled.total.Bytes
		total.Faults -= old.sampled.total.Faults
		total.Stall -= old.sampled.total.Stall
	} else {
		total.Faults -= float64(old.Faults)
		total.Stall -= old.Stall.Sum
	}
	s := r.coarsest(from, to)
	p := sampled{chooser: r.sampled.chooser, blocks: blocks}
	e := p.sumError(s)
	r.Estimate = Estimate{Faults: total.Faults, FaultsError: e.Faults, Stall: total.Stall, StallError: e.Stall}
	r.Estimate.Touched, r.Estimate.TouchedError = total.Bytes, e.Bytes
	if !r.sampled.foreign {
		r.Estimate.Touched, r.Estimate.TouchedError = r.touchedIn(&r.touched, s)
	}
	r.Estimate.Paused = r.paused(from, to)
}
