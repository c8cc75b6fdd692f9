//go:build amd64 || arm64

package metrics

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/exporter/traces"
	"github.com/firsttouch/firsttouch/profiler"
	"github.com/firsttouch/firsttouch/uffd"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A real profiler, with a log that is too short for its faults: the metrics are those of its snapshot, and
// the exemplars of the spans that touched.
func TestMetricsOfARealProfiler(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	e, err := New(WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	if err != nil {
		t.Fatal(err)
	}
	const pages, logged = 640, 100
	var attributed time.Duration // stall of the faults that have a span
	p, err := profiler.New(profiler.WithFailingSystemCalls(), profiler.WithStopLimit(10*time.Second), profiler.WithObserver(e.Observe), profiler.WithLogLimit(logged), profiler.WithObserver(func(f profiler.Fault) {
		if f.Span != 0 {
			attributed += f.Stall
		}
	}))
	if errors.Is(err, profiler.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := e.Start(p); err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	arena, err := p.NewArena("arena", pages*uffd.PageSize())
	if err != nil {
		t.Fatal(err)
	}
	out := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(traces.NewProcessor(p, e.SpanProcessor(out))))
	defer tp.Shutdown(context.Background())
	const slice = pages / exporter.PositionSlices
	trace := make(map[[8]byte]int) // the beginning of a trace's id -> the slice that it touched
	for i := range exporter.PositionSlices {
		ctx, s := tp.Tracer("service").Start(context.Background(), "request")
		id := s.SpanContext().TraceID()
		trace[[8]byte(id[:8])] = i
		_ = ctx
		for page := i * slice; page < (i+1)*slice; page++ {
			arena.Bytes()[page*uffd.PageSize()] = 1
		}
		s.End()
	}

	got := collect(t, reader)
	s := p.Snapshot()
	if s.Stats.Faults != pages || s.Stats.LogCut != pages-logged {
		t.Fatalf("%d faults, %d not in the log", s.Stats.Faults, s.Stats.LogCut)
	}
	equal := func(name, attrs string, want float64) {
		t.Helper()
		if v := values(t, got[name])[attrs]; v != want {
			t.Errorf("%s{%s} is %v, the snapshot says %v", name, attrs, v, want)
		}
	}
	equal(exporter.MetricFaults, "access=write,region=arena,result=recorded,source=zero", pages)
	equal(exporter.MetricMessages, "", float64(s.Stats.Messages))
	equal(exporter.MetricRecordsDropped, "reason=log_full", float64(s.Stats.LogCut))
	equal(exporter.MetricRecordsDropped, "reason=ring_full", 0)
	equal(exporter.MetricRegionTouched, "region=arena,window=total", float64(s.Regions[0].Touched))
	equal(exporter.MetricRegionMapped, "region=arena,window=total", float64(s.Regions[0].Mapped))
	equal(exporter.MetricThreadsStalled, "", 0)

	stalls := points(t, got[exporter.MetricFaultStall])
	if len(stalls) != 1 || stalls[0].count != pages || math.Abs(stalls[0].value-s.Regions[0].Stall.Sum.Seconds()) > 1e-9 {
		t.Errorf("stalls %+v, the snapshot says %v", stalls, s.Regions[0].Stall.Sum)
	}
	requests := points(t, got[exporter.MetricRequestStall])
	if len(requests) != 1 || requests[0].count != exporter.PositionSlices || math.Abs(requests[0].value-attributed.Seconds()) > 1e-6 {
		t.Errorf("requests %+v, the faults' %v", requests, attributed)
	}
	// A goroutine that is preempted in the wrong moment is not known, see the profiler's documentation.
	if s.Stats.Unattributed > pages/100 {
		t.Errorf("%d of %d faults have no span", s.Stats.Unattributed, pages)
	}
	places := points(t, got[exporter.MetricFaultPosition])
	if len(places) != 1 || len(places[0].exemplars) != exporter.PositionSlices {
		t.Fatalf("%d places with exemplars", len(places))
	}
	for _, x := range places[0].exemplars {
		if want, ok := trace[x.trace]; !ok || want != int(x.value*exporter.PositionSlices) {
			t.Errorf("the exemplar at %v is of a trace that touched slice %d (%v)", x.value, want, ok)
		}
	}
	if overhead := values(t, got[exporter.MetricOverhead])[""]; overhead <= 0 || overhead > s.Stats.Overhead.Seconds() {
		t.Errorf("overhead %v s, later %v", overhead, s.Stats.Overhead)
	}
}

// Threads that wait at this moment are seen while they do: a goroutine whose page is being read from storage
// cannot be held there, so this asks again and again for as long as others fault.
func TestStalledThreadsAreSeen(t *testing.T) {
	p, err := profiler.New(profiler.WithFailingSystemCalls(), profiler.WithStopLimit(10*time.Second))
	if errors.Is(err, profiler.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if n := p.Stalled(); n != 0 {
		t.Errorf("%d threads wait before anything was armed", n)
	}
	const pages = 1 << 15
	arena, err := p.NewArena("arena", pages*uffd.PageSize())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range pages {
			arena.Bytes()[i*uffd.PageSize()] = 1
		}
	}()
	seen := 0
	for asking := true; asking; {
		select {
		case <-done:
			asking = false
		default:
			seen = max(seen, p.Stalled())
		}
	}
	// One goroutine touches, so that one thread waits, or none.
	if seen != 1 {
		t.Errorf("at most %d threads were seen waiting, want 1", seen)
	}
	if n := p.Stalled(); n != 0 {
		t.Errorf("%d threads wait after all", n)
	}
}
