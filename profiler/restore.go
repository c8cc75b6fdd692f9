package profiler

import (
	"fmt"
	"iter"
	"maps"
	"runtime"
	"slices"
	"time"
)

// Parts are what a Snapshot gives out by its methods only. Who stores a snapshot asks for them there, and
// hands them to RestoreSnapshot.
type Parts struct {
	Stacks [][]uintptr // of StackID 1 and up, see Snapshot.Stack
	// Code names code by the address behind an instruction, see Snapshot.FramesAt. What is not in
	// it has no name: the addresses are those of another process.
	Code    map[uintptr][]runtime.Frame
	Spans   map[SpanRef]SpanStats
	Touched [][]Granules // of each region
}

// Granules are consecutive granules of a region, by number: number times RegionStats.Granule is the
// offset of the first byte.
type Granules struct{ First, Count uint64 }

// maxGranules bounds the granule numbers of all regions of a restored snapshot, of which each costs a bit: 4
// TiB of pages.
const maxGranules = 1 << 30

// RestoreSnapshot returns a snapshot that was stored: s with its exported fields set, and what its methods
// give. Histograms are restored with RestoreHistogram. It keeps what it is given. The error wraps
// ErrInvalid where the parts do not fit together.
func RestoreSnapshot(s *Snapshot, p Parts) (*Snapshot, error) {
	c := *s
	c.Regions = slices.Clone(s.Regions)
	c.stacks, c.spans = &stackTable{pcs: p.Stacks, code: p.Code}, &spanTable{p.Spans}
	if c.stacks.code == nil {
		c.stacks.code = map[uintptr][]runtime.Frame{}
	}
	granules := uint64(0)
	for i := range c.Regions {
		r := &c.Regions[i]
		if r.ID != RegionID(i) || r.Granule <= 0 || r.Size < 0 {
			return nil, fmt.Errorf("%w: region %d has id %d, size %d and granule %d", ErrInvalid, i, r.ID, r.Size, r.Granule)
		}
		r.touched = bitmap{}
		if i >= len(p.Touched) {
			continue
		}
		end := uint64(0)
		for _, g := range p.Touched[i] {
			if g.Count == 0 || g.First < end || g.Count > maxGranules || g.First > maxGranules {
				return nil, fmt.Errorf("%w: granules %d and %d more of region %d", ErrInvalid, g.First, g.Count, i)
			}
			end = g.First + g.Count
		}
		if granules += end; granules > maxGranules {
			return nil, fmt.Errorf("%w: more than %d granules", ErrInvalid, maxGranules)
		}
		for _, g := range p.Touched[i] {
			r.touched.addRun(g.First, g.Count)
		}
	}
	for _, f := range c.Faults {
		if int(f.Region) >= len(c.Regions) || f.Offset < 0 {
			return nil, fmt.Errorf("%w: fault %d at offset %d of region %d", ErrInvalid, f.Seq, f.Offset, f.Region)
		}
	}
	for _, g := range c.Groups {
		if int(g.Region) >= len(c.Regions) {
			return nil, fmt.Errorf("%w: a group of region %d", ErrInvalid, g.Region)
		}
	}
	return &c, nil
}

// RestoreHistogram returns the histogram with what Histogram.Buckets gave.
func RestoreHistogram(sum, longest time.Duration, buckets iter.Seq2[time.Duration, uint64]) Histogram {
	h := Histogram{Sum: sum, Max: longest}
	for upper, n := range buckets {
		if h.buckets == nil {
			h.buckets = make([]uint64, histLen)
		}
		h.buckets[bucketOf(upper)] += n
		h.Count += n
	}
	return h
}

// Stacks is the number of stacks in the snapshot: their ids are 1 to Stacks.
func (s *Snapshot) Stacks() int {
	if s.stacks == nil {
		return 0
	}
	return len(s.stacks.pcs)
}

// Spans calls yield for every span that is known, by ascending reference.
func (s *Snapshot) Spans(yield func(SpanRef, SpanStats) bool) {
	if s.spans == nil {
		return
	}
	for _, ref := range slices.Sorted(maps.Keys(s.spans.m)) {
		if !yield(ref, s.spans.m[ref]) {
			return
		}
	}
}

// Runs calls yield for the touched granules of the region, ascending, in runs as long as possible.
func (r *RegionStats) Runs(yield func(Granules) bool) {
	var run Granules
	more := true
	r.touched.each(func(i uint64) bool {
		if run.Count > 0 && i == run.First+run.Count {
			run.Count++
			return true
		}
		if run.Count > 0 {
			more = yield(run)
		}
		run = Granules{i, 1}
		return more
	})
	if more && run.Count > 0 {
		yield(run)
	}
}
