package recording

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/exporter/traces"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// observed feeds a flight recorder and a builder with n faults, step apart, and returns the snapshot that a
// profiler whose log holds so many would give.
func observed(f *Flight, n, log int, step time.Duration) *profiler.Snapshot {
	b := profiler.NewSnapshotBuilder()
	r := b.AddRegion(profiler.RegionStats{Name: "r", Granule: 4096, Size: 1 << 40})
	for i := range n {
		fault := profiler.Fault{Seq: uint64(i), Time: time.Duration(i) * step, Region: r, Offset: int64(i) * 4096, Messages: 1}
		b.AddFault(fault)
		f.Observe(fault)
	}
	s := *b.Snapshot()
	s.Stats.LogCut = uint64(len(s.Faults) - log)
	s.Faults = s.Faults[:log]
	return &s
}

func TestFlightKeepsTheLatest(t *testing.T) {
	for _, tt := range []struct {
		name      string
		config    FlightConfig
		n         int
		step      time.Duration
		least, at int // faults held
	}{
		{"all of a short time", FlightConfig{}, 5000, time.Microsecond, 5000, 5000},
		{"those of the age, and a chunk more at most", FlightConfig{MinAge: time.Second}, 20000, time.Millisecond, 1000, 1000 + 2*chunkItems},
		{"what there is room for", FlightConfig{MinAge: time.Hour, MaxBytes: 1 << 20}, 50000, time.Microsecond, 7000, 3 << 18 / 80},
		{"little room", FlightConfig{MinAge: time.Hour, MaxBytes: 4096}, 50000, time.Microsecond, 20, 40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := NewFlight(tt.config, nil)
			s := observed(f, tt.n, 100, tt.step)
			r := f.Recording(s, ScopeWindow, "x")
			got := r.Snapshot.Faults
			if len(got) < tt.least || len(got) > tt.at {
				t.Errorf("%d faults, want %d to %d", len(got), tt.least, tt.at)
			}
			for i, fault := range got {
				if want := uint64(tt.n - len(got) + i); fault.Seq != want {
					t.Fatalf("fault %d has seq %d, want %d", i, fault.Seq, want)
				}
			}
			if st := r.Snapshot.Stats; st.LogCut+uint64(len(got)) != st.Records || r.Origin.Scope != ScopeWindow {
				t.Errorf("%+v with %d faults", st, len(got))
			}
		})
	}
}

func TestFlightBounds(t *testing.T) {
	f := NewFlight(FlightConfig{MinAge: time.Hour, MaxBytes: 1 << 20}, nil)
	observed(f, 100000, 0, 1)
	p := f.Processor(sdktrace.NewSimpleSpanProcessor(tracetest.NewNoopExporter()))
	for range 20000 {
		p.OnEnd(tracetest.SpanStub{Name: strings.Repeat("x", 1000)}.Snapshot())
	}
	size := 0
	for _, c := range f.faults.chunks {
		size += cap(c.items) * f.faults.item
	}
	for _, c := range f.requests.chunks {
		size += cap(c.items) * f.requests.item
		for _, r := range c.items {
			size += len(r.Name)
		}
	}
	if size > 1<<20 || size < 1<<19 || size != f.faults.bytes+f.requests.bytes {
		t.Errorf("%d bytes are held and %d accounted for, of a MiB", size, f.faults.bytes+f.requests.bytes)
	}
}

func TestFlightJoinsTheLog(t *testing.T) {
	for _, tt := range []struct {
		name            string
		n, log, maxHeld int
		want, cut       int
	}{
		{"no gap", 5000, 4000, 1 << 24, 5000, 0},
		{"all in the log", 5000, 5000, 1 << 24, 5000, 0},
		{"a gap", 50000, 100, 1 << 20, -1, -1},
		{"no log", 5000, 0, 1 << 24, 5000, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := NewFlight(FlightConfig{MinAge: time.Hour, MaxBytes: tt.maxHeld}, nil)
			s := observed(f, tt.n, tt.log, 1)
			// These come after the snapshot, whose totals do not have them.
			for i := range 10 {
				f.Observe(profiler.Fault{Seq: uint64(tt.n + i)})
			}
			got := f.Recording(s, ScopeAll, "").Snapshot
			if tt.want < 0 {
				tt.want = tt.log + len(f.Recording(s, ScopeWindow, "").Snapshot.Faults)
				tt.cut = tt.n - tt.want
			}
			if len(got.Faults) != tt.want || got.Stats.LogCut != uint64(tt.cut) || len(s.Faults) != tt.log {
				t.Errorf("%d faults, %d cut; want %d and %d", len(got.Faults), got.Stats.LogCut, tt.want, tt.cut)
			}
			for i := range got.Faults[1:] {
				if got.Faults[i].Seq >= got.Faults[i+1].Seq {
					t.Fatalf("fault %d comes after fault %d", got.Faults[i].Seq, got.Faults[i+1].Seq)
				}
			}
		})
	}
}

// Requests have the faults of the spans below them added; inner spans without faults are left out, and
// so are the spans that are made of faults.
func TestFlightRequests(t *testing.T) {
	var called []Request
	f := NewFlight(FlightConfig{}, func(r *Request) { called = append(called, *r) })
	exported := tracetest.NewInMemoryExporter()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(f.Processor(sdktrace.NewSimpleSpanProcessor(exported))))
	tracer := tp.Tracer("service")
	faults := func(n int64) trace.SpanStartOption {
		return trace.WithAttributes(attribute.Int64(exporter.AttrFaults, n), attribute.Int64(exporter.AttrTouched, n*4096),
			attribute.Float64(exporter.AttrStall, float64(n)/1000), attribute.Float64(exporter.AttrStallMax, float64(n)/2000))
	}
	remote := trace.NewSpanContext(trace.SpanContextConfig{TraceID: [16]byte{7}, SpanID: [8]byte{8}, Remote: true, TraceFlags: 1})
	ctx, request := tracer.Start(trace.ContextWithSpanContext(context.Background(), remote), "GET /x", trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("url.path", "/x/1")), faults(1))
	ctx2, handler := tracer.Start(ctx, "handler")
	_, query := tracer.Start(ctx2, "query", faults(4))
	_, idle := tracer.Start(ctx2, "idle")
	idle.End()
	_, burst := tp.Tracer(traces.ScopeName).Start(ctx2, exporter.SpanBurst, faults(4))
	for _, s := range []trace.Span{query, burst, handler, request} {
		s.End()
	}
	_, other := tracer.Start(context.Background(), "GET /y")
	other.End()

	s := profiler.NewSnapshotBuilder().Snapshot()
	list := f.Recording(s, ScopeAll, "").Requests
	var got []string
	for _, r := range list {
		got = append(got, fmt.Sprintf("%s %s %v %d %d %v %d %v", r.Name, r.Target, r.Entry, r.Faults, r.Tree.Faults, r.Tree.Stall, r.Tree.Touched, r.Tree.Max))
	}
	want := []string{
		"query  false 4 4 4ms 16384 2ms",
		"handler  false 0 4 4ms 16384 2ms",
		"GET /x /x/1 true 1 5 5ms 20480 2ms",
		"GET /y  true 0 0 0s 0 0s",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if r := list[2]; r.TraceID != [16]byte{7} || r.ParentID != [8]byte{8} || list[0].TraceID != r.TraceID || r.Kind != int(trace.SpanKindServer) || r.Duration <= 0 {
		t.Errorf("%+v", r)
	}
	if len(called) != 2 || called[0].Tree.Faults != 5 || len(exported.GetSpans()) != 6 || len(f.below) != 0 {
		t.Errorf("%d requests were reported, %d spans exported, %d waited for", len(called), len(exported.GetSpans()), len(f.below))
	}
	var b bytes.Buffer
	if err := Write(&b, f.Recording(s, ScopeAll, "")); err != nil {
		t.Error(err)
	}
}

// Spans whose parents never end do not pile up.
func TestFlightForgetsSpansThatNeverEnd(t *testing.T) {
	f := NewFlight(FlightConfig{}, nil)
	p := f.Processor(sdktrace.NewSimpleSpanProcessor(tracetest.NewNoopExporter()))
	for i := range openMost + 100 {
		parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: [16]byte{1}, SpanID: [8]byte{1, byte(i), byte(i >> 8)}})
		p.OnEnd(tracetest.SpanStub{Parent: parent, Attributes: []attribute.KeyValue{attribute.Int64(exporter.AttrFaults, 1)}}.Snapshot())
	}
	if len(f.below) != openMost {
		t.Errorf("%d are waited for, want %d", len(f.below), openMost)
	}
}
