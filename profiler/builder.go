package profiler

import (
	"math/bits"
	"time"

	"github.com/firsttouch/firsttouch/internal/plain"
)

// SnapshotBuilder makes a Snapshot from faults that were seen elsewhere, for example read from a
// recording. It aggregates them exactly as a Profiler does. It is not safe for concurrent use.
type SnapshotBuilder struct {
	agg      *aggregate
	end      time.Time
	endMono  time.Duration
	messages uint64
	spans    uint64
}

// NewSnapshotBuilder returns an empty builder.
func NewSnapshotBuilder() *SnapshotBuilder {
	a := newAggregate(1 << 30)
	a.groupsMost, a.threadsMost = 1<<30, 1<<30
	return &SnapshotBuilder{agg: a}
}

// SetTime sets the bounds of the snapshot, on the wall clock and on CLOCK_MONOTONIC.
func (b *SnapshotBuilder) SetTime(start, end time.Time, startMono, endMono time.Duration) {
	b.agg.start, b.agg.mono, b.end, b.endMono = start, startMono, end, endMono
}

// AddRegion adds a region. Its identity, sizes, mappings, sampling and note count; ID is assigned and the
// totals follow from the faults. Where Sampling says that a part of it was observed, the faults' Weight counts.
func (b *SnapshotBuilder) AddRegion(r RegionStats) RegionID {
	r.ID = RegionID(len(b.agg.regions))
	r.Name = plain.Valid(r.Name)
	r.Faults, r.Touched, r.touched = 0, 0, bitmap{}
	r.Stall, r.Disk, r.StallsUnknown = Histogram{}, Histogram{}, 0
	r.sampled = nil
	if n := len(r.Sampling); n > 0 {
		shift := uint(bits.Len64(uint64(max(r.Sampling[n-1].BlockBytes, 1))) - 1)
		r.sampled = &sampled{chooser: chooser{shift: shift}, foreign: true, blocks: make(map[uint64]Scaled)}
	}
	if r.Group == "" {
		r.Group = r.Name
	}
	b.agg.addRegion(&r)
	return r.ID
}

// AddStack adds a stack, leaf first, see Snapshot.Stack.
func (b *SnapshotBuilder) AddStack(pcs []uintptr) StackID { return b.agg.stacks.add(pcs) }

// AddSpan adds a span; only its ids count, the totals follow from the faults.
func (b *SnapshotBuilder) AddSpan(s SpanStats) SpanRef {
	b.spans++
	ref := SpanRef(b.spans)
	b.agg.keepSpan(ref, &SpanStats{TraceID: s.TraceID, SpanID: s.SpanID})
	return ref
}

// AddFault adds the next fault in claim order. Its region must have been added.
func (b *SnapshotBuilder) AddFault(f Fault) {
	b.agg.observe(f, 0)
	b.messages += uint64(f.Messages)
	b.agg.region(f.Region).Messages += uint64(f.Messages)
}

// SetStats sets what does not follow from the faults: drops, missed stacks, overhead, sampling and
// notes. Faults, Messages, Records, Stacks and Unattributed are computed.
func (b *SnapshotBuilder) SetStats(s Stats) {
	have := b.agg.stats
	s.Records, s.Stacks, s.Unattributed, s.LogCut = have.Records, have.Stacks, have.Unattributed, have.LogCut
	b.agg.stats = s
}

// Snapshot returns what was added so far.
func (b *SnapshotBuilder) Snapshot() *Snapshot {
	s := b.agg.snapshot(b.end, b.endMono)
	s.Stats.Faults = s.Stats.Records + s.Stats.Dropped
	s.Stats.Messages = b.messages
	return s
}
