package metrics

import (
	"context"
	"math"
	"testing"

	"github.com/firsttouch/firsttouch/exporter"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// TestRequestStall: the spans of one request add up, bursts do not count again, and requests that did
// not wait are not counted.
func TestRequestStall(t *testing.T) {
	r := newRig(t, newSource())
	out := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.SpanProcessor(out)))
	tr := tp.Tracer("service")
	stall := func(s trace.Span, seconds float64) {
		s.SetAttributes(attribute.Float64(exporter.AttrStall, seconds))
		s.End()
	}
	ctx, root := tr.Start(context.Background(), "request")
	inner, child := tr.Start(ctx, "query")
	_, burst := tr.Start(inner, exporter.SpanBurst)
	stall(burst, 0.002)
	stall(child, 0.002)
	_, late := tr.Start(ctx, "goes on after its request")
	stall(root, 0.001)
	stall(late, 7)

	ctx, quick := tr.Start(context.Background(), "touches nothing")
	_, below := tr.Start(ctx, "within it")
	below.SetAttributes(attribute.Float64(exporter.AttrBlocked, 0.125))
	below.End()
	quick.SetAttributes(attribute.Float64(exporter.AttrBlocked, 0.25))
	quick.End()

	// Two requests of one trace, from a caller elsewhere.
	caller := trace.ContextWithRemoteSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{9}, SpanID: trace.SpanID{9}, TraceFlags: trace.FlagsSampled, Remote: true}))
	_, first := tr.Start(caller, "first")
	_, second := tr.Start(caller, "second")
	stall(first, 0.25)
	stall(second, 0.5)

	ps := points(t, r.collect(t)[exporter.MetricRequestStall])
	if len(ps) != 1 || ps[0].count != 3 || math.Abs(ps[0].value-0.753) > 1e-9 {
		t.Fatalf("%+v, want 3 requests of 0.003, 0.25 and 0.5 s", ps)
	}
	id := root.SpanContext().TraceID()
	found := false
	for _, e := range ps[0].exemplars {
		found = found || string(e.trace[:]) == string(id[:8]) && math.Abs(e.value-0.003) < 1e-9
	}
	if !found {
		t.Errorf("no exemplar is of the first request: %+v", ps[0].exemplars)
	}
	if ps := points(t, r.collect(t)[exporter.MetricRequestBlocked]); len(ps) != 1 || ps[0].count != 1 || ps[0].value != 0.25 {
		t.Errorf("%+v, want one request that lost 0.25 s", ps)
	}
	if n := len(out.Ended()); n != 8 {
		t.Errorf("%d of 8 spans were handed on", n)
	}
	if n := len(r.requests.open); n != 0 {
		t.Errorf("%d requests are still open", n)
	}
}
