package agent

import (
	"context"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/exporter/traces"
	"github.com/firsttouch/firsttouch/uffd"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// TestSpansOfAService: a service that puts the processor in front of its own sees how many cold
// pages each of its spans touched.
func TestSpansOfAService(t *testing.T) {
	path, file := database(t, 32)
	a := start(t, WithFiles(path))
	exported := tracetest.NewInMemoryExporter()
	sp := a.SpanProcessor(sdktrace.NewSimpleSpanProcessor(exported))
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(sp), sdktrace.WithSampler(a.Sampler(sdktrace.AlwaysSample())))
	sp.(*traces.Processor).SetTracerProvider(tp)
	tracer := tp.Tracer("test")

	next := 0
	for _, pages := range []int{0, 3, 17} {
		_, span := tracer.Start(context.Background(), "request", trace.WithAttributes(attribute.Int("pages", pages)))
		for range pages {
			touchPage(file, next)
			next++
		}
		span.End()
	}
	if err := tp.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	requests := 0
	for _, s := range exported.GetSpans() {
		if s.Name != "request" {
			continue
		}
		requests++
		attrs := attribute.NewSet(s.Attributes...)
		want, _ := attrs.Value("pages")
		got, ok := attrs.Value("firsttouch.faults")
		if ok != (want.AsInt64() > 0) || got.AsInt64() != want.AsInt64() {
			t.Errorf("firsttouch.faults is %v, want %d", got.String(), want.AsInt64())
		}
	}
	if requests != 3 {
		t.Errorf("%d requests exported, want 3", requests)
	}
	if got := a.Profiler().Snapshot().Region(path).Touched; got != int64(20*uffd.PageSize()) {
		t.Errorf("%d bytes touched, want 20 pages", got)
	}
	if err := tp.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestDroppedSpansAreKnown: a span that is not sampled is not exported, and still owns its faults.
func TestDroppedSpansAreKnown(t *testing.T) {
	path, file := database(t, 8)
	a := start(t, WithFiles(path))
	exported := tracetest.NewInMemoryExporter()
	tp := sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(a.SpanProcessor(sdktrace.NewSimpleSpanProcessor(exported))),
		sdktrace.WithSampler(a.Sampler(sdktrace.NeverSample())))
	_, span := tp.Tracer("test").Start(context.Background(), "request")
	touchPage(file, 1)
	span.End()
	touchPage(file, 2)
	if err := tp.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(exported.GetSpans()); n != 0 {
		t.Errorf("%d spans exported, want none", n)
	}
	s := a.Profiler().Snapshot()
	if s.Stats.Records != 2 || s.Stats.Unattributed != 1 {
		t.Errorf("%d records, %d unattributed, want 2 and 1", s.Stats.Records, s.Stats.Unattributed)
	}
}

// A service that has no processor yet goes on, and is told.
func TestSpanProcessorOfNothing(t *testing.T) {
	for _, a := range []*Agent{start(t), start(t, Disabled())} {
		tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.SpanProcessor(nil)))
		_, span := tp.Tracer("test").Start(context.Background(), "GET /")
		span.End()
		if err := tp.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if notes := strings.Join(a.Notes(), "\n"); !strings.Contains(notes, "SpanProcessor was given no processor") {
			t.Errorf("notes: %s", notes)
		}
	}
}
