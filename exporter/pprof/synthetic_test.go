package pprof

import (
	"flag"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// synthetic returns a snapshot that is the same on every machine: its code addresses belong to no
// function. Its file ends within its last page, it has a fault without a stack, and drops.
func synthetic() *profiler.Snapshot {
	b := profiler.NewSnapshotBuilder()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b.SetTime(start, start.Add(2*time.Second), 0, 2*time.Second)
	file := b.AddRegion(profiler.RegionStats{
		Name: "/data/index.db", Kind: profiler.KindAttached, Granule: 4096, Size: 3<<20 + 100, Mapped: 3<<20 + 100, Rearms: 1,
		Mappings: []profiler.MappingStats{{Start: 0x7f0000000000, End: 0x7f0000301000, Latency: 20 * time.Millisecond}},
		Widened:  2, Left: 3, Discarded: 4, Note: "the file is not ours.",
	})
	arena := b.AddRegion(profiler.RegionStats{
		Name: "cache", Kind: profiler.KindArena, Granule: 64 << 10, Size: 1 << 20, Mapped: 1 << 20,
		Mappings: []profiler.MappingStats{{Start: 0x7e0000000000, End: 0x7e0000100000}},
	})
	x, y := b.AddStack([]uintptr{0x10, 0x20, 0x30}), b.AddStack([]uintptr{0x11, 0x30})
	span := b.AddSpan(profiler.SpanStats{TraceID: [16]byte{1, 2}, SpanID: [8]byte{3, 4}})
	b.SetStats(profiler.Stats{StackSampling: "1 in 2", Dropped: 3, StacksMissed: 1, Placement: "here", UserModeOnly: true,
		ResolveErrs: 1, LastError: "no such process", Overhead: time.Millisecond, Notes: []string{"a note"}})
	add := func(r profiler.RegionID, offset int64, st profiler.StackID, sp profiler.SpanRef, a profiler.Access, src profiler.Source, us int) {
		b.AddFault(profiler.Fault{Region: r, Offset: offset, Stack: st, Span: sp, Access: a, Source: src,
			Stall: time.Duration(us) * time.Microsecond, Thread: 7, Messages: 1})
	}
	add(file, 0, x, span, profiler.Read, profiler.SourceDisk, 100)
	add(file, 4096+5, x, span, profiler.Read, profiler.SourcePageCache, 10)
	add(file, 2<<20, x, 0, profiler.Read, profiler.SourcePageCache, 20)
	add(file, 3<<20+50, 0, span, profiler.Read, profiler.SourcePageCache, 5)
	add(arena, 65536, y, 0, profiler.Write, profiler.SourceZero, 3)
	return b.Snapshot()
}

// cut is the snapshot that a Profiler would have given with room for n faults in its log.
func cut(s *profiler.Snapshot, n int) *profiler.Snapshot {
	c := *s
	c.Faults = s.Faults[:n]
	c.Stats.LogCut += uint64(len(s.Faults) - n)
	return &c
}

// twice is a snapshot in which the first stack touches four pages, and after a re-arm the second one
// touches two of them and one more.
func twice() *profiler.Snapshot {
	b := profiler.NewSnapshotBuilder()
	r := b.AddRegion(profiler.RegionStats{Name: "cache", Granule: 4096, Size: 1 << 20, Rearms: 1})
	x, y := b.AddStack([]uintptr{0x10}), b.AddStack([]uintptr{0x20})
	for i := range int64(4) {
		b.AddFault(profiler.Fault{Region: r, Offset: i * 4096, Stack: x, Stall: time.Microsecond, Messages: 1})
	}
	for _, i := range []int64{2, 3, 4} {
		b.AddFault(profiler.Fault{Region: r, Offset: i*4096 + 8, Stack: y, Stall: time.Microsecond, Messages: 1})
	}
	return b.Snapshot()
}

// totals adds up the values of all samples for which keep holds.
func totals(p *profile.Profile, keep func(*profile.Sample) bool) (sum [3]int64) {
	for _, s := range p.Sample {
		if keep == nil || keep(s) {
			for i, v := range s.Value {
				sum[i] += v
			}
		}
	}
	return sum
}

// under tells whether a sample has a frame of the given name.
func under(name string) func(*profile.Sample) bool {
	return func(s *profile.Sample) bool {
		for _, l := range s.Location {
			for _, n := range l.Line {
				if n.Function.Name == name {
					return true
				}
			}
		}
		return false
	}
}
