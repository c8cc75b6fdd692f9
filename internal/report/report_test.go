package report_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/firsttouch/firsttouch/profiler"
)

var update = flag.Bool("update", false, "write the golden files anew")

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
	s := b.Snapshot()
	s.Stats.Blocked = profiler.Blocked{Procs: 2, Sum: 30 * time.Millisecond, Any: 20 * time.Millisecond, All: 8 * time.Millisecond,
		GCStops: 1, GCLeast: time.Millisecond, GCMost: 3 * time.Millisecond}
	for i := range s.Groups {
		if s.Groups[i].Source == profiler.SourceDisk {
			s.Groups[i].Blocked = 8 * time.Millisecond
		}
	}
	return s
}

func requests() []summary.Request {
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	return []summary.Request{
		{TraceID: "01", SpanID: "a", Name: "GET /x", Target: "/x/fast", Start: at, Duration: time.Millisecond},
		{TraceID: "02", SpanID: "b", Name: "GET /x", Target: "/x/slow", Start: at, Duration: 20 * time.Millisecond,
			Faults: 104, Stall: 11 * time.Millisecond, StallMax: 4 * time.Millisecond, Touched: 104 * 4096},
		{TraceID: "03", SpanID: "c", Name: "GET /x", Target: "/x/a-very-long-target-whose-end-says-what-it-was-for", Start: at, Duration: 2 * time.Millisecond, Blocked: 1500 * time.Microsecond},
		{TraceID: "04", SpanID: "d", Name: "nightly compaction", Start: at, Duration: 1500 * time.Microsecond},
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it anew)\n--- got\n%s\n--- want\n%s", path, got, want)
	}
}

func TestRender(t *testing.T) {
	var out bytes.Buffer
	sum := summary.Build(snapshot(), summary.Listed(requests()), summary.Limits{Callers: 10, Requests: 3})
	if err := report.Render(&out, sum); err != nil {
		t.Fatal(err)
	}
	golden(t, "summary.txt", out.Bytes())
}

// By signal the kernel sends no messages, and none are spoken of.
func TestRenderBySignal(t *testing.T) {
	sum := summary.Build(snapshot(), summary.RequestList{}, summary.DefaultLimits())
	sum.Engine.Delivery = profiler.DeliverySignal.String()
	var out bytes.Buffer
	if err := report.Render(&out, sum); err != nil {
		t.Fatal(err)
	}
	if text := out.Bytes(); !bytes.Contains(text, []byte("105 of 110 faults, 5 dropped\n")) || bytes.Contains(text, []byte("messages")) {
		t.Errorf("by signal:\n%s", text)
	}
}

// The JSON is an interface: its names and units may not change by accident.
func TestJSON(t *testing.T) {
	sum := summary.Build(snapshot(), summary.Listed(requests()), summary.Limits{Callers: 1, Requests: 1})
	sum.Callers[0].File = filepath.Base(sum.Callers[0].File) // the rest is where the module lies
	text, err := json.MarshalIndent(sum, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "summary.json", append(text, '\n'))
	var back summary.Summary
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, sum) {
		t.Errorf("the round trip changed it: %v\n%+v\n%+v", err, back, sum)
	}
}

func TestRenderReportsAFailedWrite(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full:", err)
	}
	defer full.Close()
	if err := report.Render(full, summary.Build(snapshot(), summary.RequestList{}, summary.DefaultLimits())); err == nil {
		t.Error("a full device took the report")
	}
}

func TestBuildOfNothing(t *testing.T) {
	sum := summary.Build(profiler.NewSnapshotBuilder().Snapshot(), summary.RequestList{}, summary.DefaultLimits())
	var out bytes.Buffer
	if err := report.Render(&out, sum); err != nil {
		t.Fatal(err)
	}
	golden(t, "empty.txt", out.Bytes())
}
