package profiler

import (
	"fmt"
	"iter"
	"maps"
	"math"
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

// numberMost bounds times, sizes and offsets: sums and differences of two are numbers too.
const numberMost = math.MaxInt64 / 4

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
	for i := range c.Regions {
		r := &c.Regions[i]
		if i > 0 && r.ID <= c.Regions[i-1].ID || r.Granule <= 0 || r.Size < 0 || r.Size > numberMost {
			return nil, fmt.Errorf("%w: region %d has id %d, size %d and granule %d", ErrInvalid, i, r.ID, r.Size, r.Granule)
		}
		if r.Group == "" {
			r.Group = r.Name
		}
		r.touched = bitmap{}
		if i >= len(p.Touched) {
			continue
		}
		// The offset behind each has to be a number.
		most := math.MaxInt64 / uint64(r.Granule)
		end := uint64(0)
		for _, g := range p.Touched[i] {
			if g.Count == 0 || g.First < end || g.First > most || g.Count > most-g.First {
				return nil, fmt.Errorf("%w: granules %d and %d more of region %d", ErrInvalid, g.First, g.Count, i)
			}
			end = g.First + g.Count
			r.touched.n += g.Count
		}
		r.touched.runs = p.Touched[i]
	}
	known := func(id RegionID) bool { return c.find(id) != nil }
	for i := range c.Faults {
		f := &c.Faults[i]
		if !known(f.Region) || f.Offset < 0 || f.Offset > numberMost {
			return nil, fmt.Errorf("%w: fault %d at offset %d of region %d", ErrInvalid, f.Seq, f.Offset, f.Region)
		}
	}
	for i := range c.Faults {
		if f := &c.Faults[i]; f.Time < 0 || f.Time > numberMost || f.Stall < 0 || f.Stall > numberMost {
			return nil, fmt.Errorf("%w: fault %d at %d, with a stall of %d", ErrInvalid, f.Seq, f.Time, f.Stall)
		}
	}
	for _, g := range c.Groups {
		if !known(g.Region) {
			return nil, fmt.Errorf("%w: a group of region %d", ErrInvalid, g.Region)
		}
	}
	return &c, nil
}

// RestoreHistogram returns the histogram with what Histogram.Buckets gave.
func RestoreHistogram(sum, longest time.Duration, buckets iter.Seq2[time.Duration, uint64]) Histogram {
	h := Histogram{Sum: sum, Max: longest}
	for upper, n := range buckets {
		*h.bucket(bucketOf(upper)) += n
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
func (r *RegionStats) Runs(yield func(Granules) bool) { r.touched.eachRun(yield) }
