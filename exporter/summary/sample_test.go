package summary_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/profiler"
)

// pcOf returns the program counter of a line of a function, as a return address.
func pcOf(f any) uintptr { return reflect.ValueOf(f).Pointer() + 1 }

// Stand-ins for a database, the code that uses it, and the library below both.
func library(b []byte) int  { return bytes.IndexByte(b, 1) }
func handler(b []byte) bool { return library(b) == 0 }

// snapshot has a file with touches from the disk and from the cache, an arena, a fault without a
// stack, and drops.
func snapshot() *profiler.Snapshot {
	b := profiler.NewSnapshotBuilder()
	start := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	b.SetTime(start, start.Add(2*time.Second), time.Minute, time.Minute+2*time.Second)
	file := b.AddRegion(profiler.RegionStats{Name: "/var/lib/app/index.db", Kind: profiler.KindAttached,
		Granule: 4096, Size: 1 << 20, Mapped: 1 << 20, CoTouch: 2, Note: "covered 3 ms after it was mapped"})
	arena := b.AddRegion(profiler.RegionStats{Name: "cache", Kind: profiler.KindArena, Granule: 4096, Size: 1 << 16, Mapped: 1 << 16, Widened: 1, Left: 3, Discarded: 2})
	// Leaf first: a runtime helper, a package that serves others, the code to blame, and who had it done.
	inHandler := b.AddStack([]uintptr{pcOf(bytes.Clone), pcOf(library), pcOf(json.Marshal)})
	inTest := b.AddStack([]uintptr{pcOf(handler), pcOf(testing.Benchmark)})
	span := b.AddSpan(profiler.SpanStats{TraceID: [16]byte{1}, SpanID: [8]byte{2}})
	at := time.Minute
	add := func(r profiler.RegionID, page int, stall time.Duration, source profiler.Source, stack profiler.StackID, span profiler.SpanRef) {
		at += 10 * time.Millisecond
		b.AddFault(profiler.Fault{Time: at, Region: r, Offset: int64(page) * 4096, Stall: stall, Source: source,
			Stack: stack, Span: span, Messages: 2, Thread: 7})
	}
	for i := range 99 {
		add(file, i, 10*time.Microsecond, profiler.SourcePageCache, inHandler, span)
	}
	add(file, 99, 50*time.Microsecond, profiler.SourcePageCache, inTest, span)
	for i := range 4 {
		add(file, 100+i, time.Duration(i+1)*time.Millisecond, profiler.SourceDisk, inHandler, span)
	}
	add(arena, 0, 3*time.Microsecond, profiler.SourceZero, 0, 0)
	b.SetStats(profiler.Stats{Dropped: 5, StacksMissed: 1, Overhead: 20 * time.Millisecond, Stops: 3, Stopped: 2 * time.Millisecond,
		StackSampling: "every fault", Delivery: "thread", Placement: "with the toucher", Notes: []string{"a note of the engine"}})
	return b.Snapshot()
}

func requests() []summary.Request {
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	return []summary.Request{
		{TraceID: "01", SpanID: "a", Name: "GET /x", Target: "/x/fast", Start: at, Duration: time.Millisecond},
		{TraceID: "02", SpanID: "b", Name: "GET /x", Target: "/x/slow", Start: at, Duration: 20 * time.Millisecond,
			Faults: 104, Stall: 11 * time.Millisecond, StallMax: 4 * time.Millisecond, Touched: 104 * 4096},
		{TraceID: "03", SpanID: "c", Name: "GET /x", Target: "/x/a-very-long-target-whose-end-says-what-it-was-for", Start: at, Duration: 2 * time.Millisecond},
		{TraceID: "04", SpanID: "d", Name: "nightly compaction", Start: at, Duration: 1500 * time.Microsecond},
	}
}
