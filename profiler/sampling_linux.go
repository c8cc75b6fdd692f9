//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"golang.org/x/sys/unix"
)

// SetSampling sets which share of every region is observed, also of regions to come; see
// Region.SetSampling. The error joins those of the regions.
func (p *Profiler) SetSampling(share float64) error {
	if err := checkShare(share); err != nil {
		return err
	}
	p.mu.Lock()
	p.share = share
	p.mu.Unlock()
	var errs []error
	for _, r := range p.openRegions() {
		if err := r.SetSampling(share); !errors.Is(err, ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// setStacks sets from now on which faults have their stack taken, see WithStacks.
func (p *Profiler) setStacks(s StackSampling) {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	if p.eng != nil {
		p.eng.SetStacks(int(s.every), int(s.perSec))
		p.agg.stats.StackSampling = s.String()
	}
}

// SetSampling sets which share of the region is observed, 0 to 1: of its blocks, the first ones by a hash of
// their number, but at least 16. The others become plain memory at once, with their contents, and cost
// nothing. 0 is a pause.
//
// A higher share takes effect at the next Rearm, since of memory that was not observed nobody knows what
// was touched before; in an arena that was never armed again at once, because there the kernel knows. What
// is observed, since when, is in RegionStats.Sampling, and what that stands for in RegionStats.Estimate.
//
// Shared memory and huge pages that no placeholder covers, regions of writes alone, and the Go heap, which has a sample
// of its own, cannot be observed in part. Of them a share of the windows is (Windows).
//
// After an error (ErrBusy) some of what is not to be observed still costs, and is in no estimate: try again.
func (r *Region) SetSampling(share float64) error {
	if err := checkShare(share); err != nil {
		return err
	}
	if r.p.observes() {
		return fmt.Errorf("region %q: %w", r.name, r.p.onlyObserves("a share of it"))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed.Load() || r.p.retired.Load() {
		return fmt.Errorf("region %q: %w", r.name, ErrClosed)
	}
	r.share = share
	r.begin()
	return r.applyShare()
}

// Observed returns which share of the region is observed now, and which is to be from the next Rearm on.
func (r *Region) Observed() (share, wanted float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	share, wanted = 1, 1
	if r.heap != nil {
		share = SamplingStep{Blocks: r.heap.blocks, Sampled: len(r.heap.covered)}.Share()
		return share, share
	}
	if r.chooser.shift == 0 {
		return share, wanted
	}
	step := func(limit uint64) float64 {
		return SamplingStep{Blocks: len(r.hashes), Sampled: within(r.hashes, limit)}.Share()
	}
	return step(r.limit), step(r.wanted())
}

// applyShare brings what is observed closer to what is to be. The caller holds r.mu.
func (r *Region) applyShare() error {
	if !r.sampleable() {
		if r.share >= 1 {
			return nil
		}
		r.p.note("region %s is observed in a share of the windows, not in a share of its memory: of memory of its kind a part cannot be left out", r.name)
		return nil
	}
	limit := r.wanted()
	switch {
	case limit < r.limit:
		// Before the first block is released: what is still seen of it counts no more.
		r.stepTo(limit, engine.Now())
	case limit > r.limit && r.fresh():
		var errs []error
		for _, m := range r.maps {
			errs = append(errs, r.p.eng.ArmMore(m.Target, r.sample(limit), r.mine()))
		}
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("region %q: %w", r.name, err)
		}
		r.stepTo(limit, engine.Now())
	}
	var errs []error
	for _, m := range r.maps {
		took, err := r.p.eng.Release(m.Target, r.sample(r.limit), r.guard())
		r.longest = max(r.longest, took)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("region %q: %w", r.name, r.p.wrap(err))
	}
	return nil
}

// inTurn reports whether the region is to be armed for a window: where a share of its memory cannot be observed, a
// share of its windows is.
func (r *Region) inTurn(window uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.share >= 1 || r.sampleable() {
		return true
	}
	return float64(chooser{seed: r.p.config.seed}.hash(window)) < r.share*math.MaxUint64
}

// fresh reports whether the kernel can tell what of the region was never touched: an arena that was not
// armed again.
func (r *Region) fresh() bool {
	return r.kind == KindArena && !slices.ContainsFunc(r.maps, func(m *mapping) bool { return m.Layered() || m.means == byAccess })
}

// wanted is the limit of the blocks that are to be observed. The caller holds r.mu.
func (r *Region) wanted() uint64 {
	if r.share >= 1 || !r.sampleable() {
		return allBlocks
	}
	r.divide()
	return limitOf(r.hashes, r.share)
}

// divide divides the region into blocks, with mappings that are about to be covered. The size of a block is chosen
// once: what was observed before and what is later are parts of each other. The caller holds r.mu.
func (r *Region) divide(coming ...procMap) {
	size := r.fileEnd()
	var list []extent
	add := func(lo, hi uintptr, offset int64) {
		if end := min(offset+int64(hi-lo), size); offset < end {
			list = append(list, extent{offset, end})
		}
	}
	for _, m := range r.maps {
		add(m.Lo, m.Hi, m.Offset)
	}
	for _, m := range coming {
		add(m.lo, m.hi, m.offset)
	}
	if r.chooser.shift == 0 {
		r.chooser = newChooser(r.p.config.seed, r.name, size, r.config.granule, int(r.id)+1)
	}
	r.hashes = r.chooser.hashes(list)
}

// fileEnd is the end of the region: memory behind the end of a file cannot be touched.
func (r *Region) fileEnd() int64 {
	if r.file != nil {
		return r.fileSize()
	}
	end := int64(0)
	for _, m := range r.maps {
		end = max(end, m.Offset+int64(m.Hi-m.Lo))
	}
	return end
}

// expect chooses the blocks of mappings that are about to be covered. The caller holds r.mu.
func (r *Region) expect(coming []procMap) {
	if r.share >= 1 && r.limit == allBlocks || len(coming) == 0 || !r.sampleable() {
		return
	}
	r.divide(coming...)
	limit := limitOf(r.hashes, r.share)
	if limit > r.limit && len(r.maps) > 0 {
		limit = r.limit // not before the next Rearm
	}
	r.stepTo(limit, engine.Now())
}

// sample is what the engine is told of a limit.
func (r *Region) sample(limit uint64) engine.Sample {
	if limit == allBlocks {
		return engine.Sample{}
	}
	c := r.chooser
	return engine.Sample{Shift: c.shift, Armed: func(block uint64) bool { return c.has(int64(block<<c.shift), limit) }}
}

// stepTo notes since when which blocks are observed. The caller holds r.mu.
func (r *Region) stepTo(limit uint64, since time.Duration) {
	r.limit = limit
	if r.chooser.shift == 0 {
		return // nothing was ever left out
	}
	s := SamplingStep{
		Since: since, Blocks: len(r.hashes), Sampled: within(r.hashes, limit), BlockBytes: 1 << r.chooser.shift, limit: limit,
	}
	r.p.foldMu.Lock()
	defer r.p.foldMu.Unlock()
	r.p.fold() // the step before ends with what it has seen
	stats := r.p.agg.region(r.id)
	if was := stats.now(); was.Blocks != s.Blocks || was.Sampled != s.Sampled || was.limit != s.limit {
		stats.step(r.chooser, s)
	}
}

// resized takes over that the region has other blocks than before. The caller holds r.mu.
func (r *Region) resized() {
	if r.chooser.shift == 0 || r.closed.Load() {
		return
	}
	r.divide()
	limit := r.limit
	if !r.sampleable() {
		limit = allBlocks // it has turned out to be memory of another kind
	}
	r.stepTo(limit, engine.Now())
}

// mine returns what lists those parts of a range that may be registered again: memory that is not ours may
// have become somebody else's.
func (r *Region) mine() func(lo, hi uintptr) []engine.AddrRange {
	if r.kind == KindArena {
		return func(lo, hi uintptr) []engine.AddrRange { return []engine.AddrRange{{Lo: lo, Hi: hi}} }
	}
	list, err := r.p.readMaps()
	heap, heapErr := r.p.heapNow()
	return func(lo, hi uintptr) (out []engine.AddrRange) {
		if err != nil || heapErr != nil || !heap.all || heap.has(lo, hi) {
			return nil
		}
		for _, m := range list {
			if a, b := max(m.lo, lo), min(m.hi, hi); a < b && m.movable() {
				out = append(out, engine.AddrRange{Lo: a, Hi: b})
			}
		}
		return out
	}
}

// prepare registers those blocks of memory that are within a limit, and no others. The caller holds r.mu.
func (r *Region) prepare(m *mapping, limit uint64) error {
	sm := r.sample(limit)
	if _, err := r.p.eng.Release(m.Target, sm, r.guard()); err != nil || !m.Sampled() {
		return err
	}
	return r.p.eng.ArmMore(m.Target, sm, r.mine())
}

// sampleable reports whether a part of the region can be left out. The Go heap has a sample of its own
// (WithHeapShare); shared memory that no placeholder covers, huge pages and writes alone are observed as a whole.
func (r *Region) sampleable() bool {
	return r.kind != KindGoHeap && !slices.ContainsFunc(r.maps, func(m *mapping) bool { return m.means != byMove && m.means != byCover && m.means != byAccess })
}

// movable reports whether a mapping is private memory that a region may hold a part of. It is the rough form of
// judge.refusal: what lies there was judged when it was attached.
func (m *procMap) movable() bool {
	return m.inode == 0 && !m.shared && m.prot&unix.PROT_WRITE != 0 && !strings.HasPrefix(m.path, "[stack") && !strings.HasPrefix(m.path, "[anon: Go:")
}
