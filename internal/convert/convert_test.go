package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// sample has a request with 40 faults in two runs of 20, an inner span without, and a fault of no span.
func sample() *recording.Recording {
	b := profiler.NewSnapshotBuilder()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b.SetTime(start, start.Add(time.Minute), time.Hour, time.Hour+time.Minute)
	r := b.AddRegion(profiler.RegionStats{Name: "/data/x.db", Granule: 4096, Size: 1 << 20})
	span := b.AddSpan(profiler.SpanStats{TraceID: [16]byte{1}, SpanID: [8]byte{2}})
	for i := range 40 {
		at := time.Hour + time.Duration(i)*10*time.Microsecond
		if i >= 20 {
			at += 10 * time.Millisecond
		}
		b.AddFault(profiler.Fault{Seq: uint64(i), Region: r, Time: at, Offset: int64(i) * 4096, Stall: 5 * time.Microsecond, Span: span,
			Goroutine: 7, Thread: 11, Messages: 1, Source: profiler.SourceDisk})
	}
	b.AddFault(profiler.Fault{Seq: 40, Region: r, Time: time.Hour + time.Second, Offset: 0, Thread: 12, Messages: 1})
	totals := recording.Totals{Faults: 40, Stall: 200 * time.Microsecond, Max: 5 * time.Microsecond, Touched: 40 * 4096}
	return &recording.Recording{Snapshot: b.Snapshot(), Origin: recording.Origin{Program: "/bin/service", Process: 5},
		Requests: []recording.Request{
			{TraceID: [16]byte{1}, SpanID: [8]byte{3}, ParentID: [8]byte{2}, Name: "query", Start: time.Hour + 1, Duration: time.Millisecond},
			{TraceID: [16]byte{1}, SpanID: [8]byte{2}, Entry: true, Kind: 2, Name: "GET", Target: "/x", Start: time.Hour, Duration: 20 * time.Millisecond,
				Failed: true, Totals: totals, Tree: totals},
		}}
}

func TestOTLP(t *testing.T) {
	var b bytes.Buffer
	if err := OTLP(&b, sample()); err != nil {
		t.Fatal(err)
	}
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	list := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	if list.Len() != 4 {
		t.Fatalf("%d spans, want two and two bursts", list.Len())
	}
	request, faults, ids := list.At(1), int64(0), map[string]bool{}
	if request.Kind() != ptrace.SpanKindServer || request.Status().Code() != ptrace.StatusCodeError || request.Name() != "GET" ||
		!request.StartTimestamp().AsTime().Equal(sample().Snapshot.Start) || request.EndTimestamp()-request.StartTimestamp() != 20e6 {
		t.Errorf("%v %v %v", request.Kind(), request.Status().Code(), request.StartTimestamp())
	}
	if n, _ := request.Attributes().Get(exporter.AttrFaults); n.Int() != 40 {
		t.Errorf("%d faults", n.Int())
	}
	for i := 2; i < 4; i++ {
		s := list.At(i)
		n, _ := s.Attributes().Get(exporter.AttrFaults)
		faults += n.Int()
		ids[s.SpanID().String()] = true
		if s.ParentSpanID() != request.SpanID() || s.Name() != exporter.SpanBurst || s.StartTimestamp() < request.StartTimestamp() || s.EndTimestamp() > request.EndTimestamp() {
			t.Errorf("burst %v %v", s.Name(), s.ParentSpanID())
		}
		if p, _ := s.Attributes().Get(exporter.AttrPattern); p.Str() != exporter.PatternSequential {
			t.Errorf("pattern %q", p.Str())
		}
	}
	if faults != 40 || len(ids) != 2 {
		t.Errorf("bursts of %d faults, ids %v", faults, ids)
	}
	if err := OTLP(&b, &recording.Recording{}); !errors.Is(err, ErrNoRequests) {
		t.Errorf("%v, want ErrNoRequests", err)
	}
}

func TestChrome(t *testing.T) {
	var b bytes.Buffer
	if err := Chrome(&b, sample()); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		TraceEvents []struct {
			Name  string
			Phase string `json:"ph"`
			ID    string
			Start float64 `json:"ts"`
			Dur   float64
			Tid   int64
			Args  map[string]any
		}
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	count, waited, open, memory := map[string]int{}, 0.0, 0, 0.0
	for _, e := range doc.TraceEvents {
		count[e.Phase]++
		switch e.Phase {
		case "X":
			waited += e.Dur
			if traced := e.Args["trace_id"] != nil; traced != (e.Tid == 11) {
				t.Errorf("%+v", e)
			}
		case "b":
			open++
		case "e":
			open--
		case "C":
			memory = e.Args["bytes"].(float64)
		}
	}
	if count["X"] != 41 || count["b"] != 2 || open != 0 || waited < 199.9 || waited > 200.1 || memory != 40*4096 {
		t.Errorf("%v, %v us, %v bytes", count, waited, memory)
	}
}

// Where regions have been added up, the numbers of those that are left are higher than how many there are.
func TestChromeOfRegionsThatWereAddedUp(t *testing.T) {
	r := sample()
	c := *r.Snapshot
	c.Regions, c.Groups = slices.Clone(c.Regions), slices.Clone(c.Groups)
	for i := range c.Regions {
		c.Regions[i].ID += 300
	}
	for i := range c.Groups {
		c.Groups[i].Region += 300
	}
	faults := slices.Clone(c.Faults)
	for i := range faults {
		faults[i].Region += 300
	}
	c.Faults = faults
	lines := func(r *recording.Recording) []string {
		var b bytes.Buffer
		if err := Chrome(&b, r); err != nil {
			t.Fatal(err)
		}
		list := strings.Split(strings.ReplaceAll(b.String(), ",\n", "\n"), "\n")
		slices.Sort(list) // names of processes come in any order
		return list
	}
	want := lines(r)
	r.Snapshot = &c
	if got := lines(r); !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d, which are the same", len(got), len(want))
	}
}
