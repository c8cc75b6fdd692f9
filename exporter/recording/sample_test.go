package recording

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

// sample is a recording with n faults, of three regions, real and invented stacks, spans and drops.
func sample(n int) *Recording {
	rnd := rand.New(rand.NewPCG(1, uint64(n)))
	b := profiler.NewSnapshotBuilder()
	start := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	b.SetTime(start, start.Add(90*time.Second), time.Hour, time.Hour+90*time.Second)
	b.AddRegion(profiler.RegionStats{Name: "/data/ä.db", Kind: profiler.KindAttached, Granule: 4096, Size: 1<<30 + 17, Mapped: 1 << 30,
		Rearms: 1, Widened: 2, CoTouch: 3, Note: "a note", Mappings: []profiler.MappingStats{
			{Start: 0x7f0000000000, End: 0x7f0020000000, Since: time.Hour, Latency: time.Millisecond},
			{Start: 0x7e0000000000, End: 0x7e0020000000, Offset: 0x20000000, Since: time.Hour + 1},
		}})
	b.AddRegion(profiler.RegionStats{Name: "cache", Kind: profiler.KindArena, Granule: 1 << 16, Size: 1 << 24, Detached: true})
	heap := b.AddRegion(profiler.RegionStats{Name: "go heap", Kind: profiler.KindGoHeap, Granule: 4096, Size: 1 << 26, Mapped: 1 << 22,
		Heap: &profiler.HeapStats{Share: 1.0 / 3, Blocks: 9, Observed: 2, Objects: 1, Unused: 2, Stacks: 3, Free: 4, Released: 5, Unseen: 6}})
	pcs := make([]uintptr, 30)
	stacks := []profiler.StackID{0, b.AddStack(pcs[:runtime.Callers(0, pcs)]), b.AddStack([]uintptr{1, 2, 3}), b.AddStack([]uintptr{9})}
	spans := []profiler.SpanRef{0, b.AddSpan(profiler.SpanStats{TraceID: [16]byte{1, 15: 2}, SpanID: [8]byte{3}}), b.AddSpan(profiler.SpanStats{SpanID: [8]byte{4}})}
	at := time.Hour
	for i := range n {
		f := profiler.Fault{
			Seq: uint64(2 * i), Time: at, Stall: time.Duration(rnd.IntN(1e7)), Goroutine: rnd.Uint64N(100), Thread: int32(rnd.IntN(8)),
			Span: spans[rnd.IntN(3)], Stack: stacks[rnd.IntN(4)], Messages: 1 + rnd.Uint32N(3),
			Access: profiler.Access(rnd.IntN(2)), Source: profiler.Source(rnd.IntN(4)), Offset: rnd.Int64N(1 << 30),
		}
		f.Address = 0x7f0000000000 + uintptr(f.Offset)
		if i%5 == 0 {
			f.Region, f.Offset = 1, rnd.Int64N(1<<24)
		}
		if i%7 == 0 {
			f.Region, f.Offset, f.Actor = heap, rnd.Int64N(1<<22), profiler.Actor(rnd.IntN(5))
		}
		at += time.Duration(rnd.IntN(1e6))
		b.AddFault(f)
	}
	b.SetStats(profiler.Stats{Dropped: 4, StacksMissed: 5, StacksCut: 6, SpansDropped: 7, ResolveErrs: 8, Overhead: 9, Stops: 10, Stopped: 11, Off: "by hand", StackSampling: "1 in 2",
		Delivery: "signal", Placement: "here", LastError: "no space", UserModeOnly: true, Notes: []string{"one", "two"}})
	r := New(b.Snapshot(), "a test")
	r.Requests = []Request{
		{TraceID: [16]byte{1, 15: 2}, SpanID: [8]byte{3}, Entry: true, Kind: 2, Name: "GET /x", Target: "/x/1", Start: time.Hour, Duration: time.Second,
			Failed: true, Totals: Totals{1, 4096, 5, 5}, Tree: Totals{2, 8192, 9, 5}},
		{SpanID: [8]byte{4}, ParentID: [8]byte{3}, Name: "query", Start: time.Hour + 5, Totals: Totals{1, 4096, 4, 4}, Tree: Totals{1, 4096, 4, 4}},
	}
	return r
}

func encoded(t testing.TB, r *Recording) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// equal compares all that two recordings give out.
func equal(t testing.TB, got, want *Recording) {
	t.Helper()
	if g, w := got.Origin, want.Origin; !g.Written.Equal(w.Written) || g.Program != w.Program || g.Reason != w.Reason || g.Scope != w.Scope ||
		g.Process != w.Process || g.Go != w.Go || g.System != w.System || g.Writer != w.Writer {
		t.Errorf("origin %+v, want %+v", g, w)
	}
	if !slices.Equal(got.Requests, want.Requests) {
		t.Errorf("requests %+v, want %+v", got.Requests, want.Requests)
	}
	file := func(m *profile.Mapping) profile.Mapping {
		return profile.Mapping{Start: m.Start, Limit: m.Limit, Offset: m.Offset, File: m.File, BuildID: m.BuildID}
	}
	if !slices.EqualFunc(got.Executables, want.Executables, func(a, b *profile.Mapping) bool { return file(a) == file(b) }) {
		t.Errorf("executables %v, want %v", got.Executables, want.Executables)
	}
	if !reflect.DeepEqual(got.WorkingSets, want.WorkingSets) {
		t.Errorf("working sets %+v, want %+v", got.WorkingSets, want.WorkingSets)
	}
	equalSnapshots(t, got.Snapshot, want.Snapshot)
}

// equalRegions compares what regions show. DeepEqual sees the buckets behind the methods too.
func equalRegions(t testing.TB, got, want *profiler.RegionStats) {
	t.Helper()
	if g, w := slices.Collect(got.Runs), slices.Collect(want.Runs); !slices.Equal(g, w) {
		t.Errorf("region %d: touched %.500v, want %.500v", want.ID, g, w)
	}
	g, w := reflect.ValueOf(*got), reflect.ValueOf(*want)
	for i := range g.NumField() {
		if f := g.Type().Field(i); f.IsExported() && !reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()) {
			t.Errorf("region %d, %s: %.500v, want %.500v", want.ID, f.Name, g.Field(i), w.Field(i))
		}
	}
}

func equalSnapshots(t testing.TB, got, want *profiler.Snapshot) {
	t.Helper()
	if !got.Start.Equal(want.Start) || !got.End.Equal(want.End) || got.StartMono != want.StartMono || got.EndMono != want.EndMono {
		t.Errorf("from %v (%v) to %v (%v), want %v (%v) to %v (%v)", got.Start, got.StartMono, got.End, got.EndMono, want.Start, want.StartMono, want.End, want.EndMono)
	}
	for i := range max(len(got.Regions), len(want.Regions)) {
		if i >= len(got.Regions) || i >= len(want.Regions) {
			t.Fatalf("%d regions, want %d", len(got.Regions), len(want.Regions))
		}
		equalRegions(t, &got.Regions[i], &want.Regions[i])
	}
	for name, pair := range map[string][2]any{
		"groups": {got.Groups, want.Groups}, "faults": {got.Faults, want.Faults},
		"threads": {got.Threads, want.Threads}, "events": {got.Events, want.Events}, "stats": {got.Stats, want.Stats},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s differ:\n%.2000v\nwant\n%.2000v", name, pair[0], pair[1])
		}
	}
	if got.Stacks() != want.Stacks() {
		t.Fatalf("%d stacks, want %d", got.Stacks(), want.Stacks())
	}
	for i := range want.Stacks() {
		id := profiler.StackID(i + 1)
		if !slices.Equal(got.Stack(id), want.Stack(id)) {
			t.Errorf("stack %d: %x, want %x", id, got.Stack(id), want.Stack(id))
		}
		named := func(f runtime.Frame) runtime.Frame {
			return runtime.Frame{PC: f.PC, Entry: f.Entry, Function: f.Function, File: f.File, Line: f.Line}
		}
		if !slices.EqualFunc(got.Frames(id), want.Frames(id), func(a, b runtime.Frame) bool { return named(a) == named(b) }) {
			t.Errorf("stack %d: %v, want %v", id, got.Frames(id), want.Frames(id))
		}
	}
	spans := func(s *profiler.Snapshot) (m map[profiler.SpanRef]profiler.SpanStats) {
		m = make(map[profiler.SpanRef]profiler.SpanStats)
		for ref, span := range s.Spans {
			m[ref] = span
		}
		return m
	}
	if g, w := spans(got), spans(want); !reflect.DeepEqual(g, w) {
		t.Errorf("spans %+v, want %+v", g, w)
	}
}
