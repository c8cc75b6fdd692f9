package demo

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/exporter/summary"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func TestRecorder(t *testing.T) {
	r := &recorder{}
	other := &recorder{}
	p := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(fanout{r, other}))
	tracer := p.Tracer("test")
	start := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	span := func(kind trace.SpanKind) {
		_, s := tracer.Start(context.Background(), "GET /x", trace.WithSpanKind(kind), trace.WithTimestamp(start), trace.WithAttributes(
			attribute.String("url.path", "/x/y"),
			attribute.Int64(exporter.AttrFaults, 3),
			attribute.Float64(exporter.AttrStall, 0.000_123_457),
			attribute.Float64(exporter.AttrStallMax, 0.0001),
			attribute.Int64(exporter.AttrTouched, 12288)))
		s.End(trace.WithTimestamp(start.Add(time.Millisecond)))
	}
	span(trace.SpanKindServer)
	span(trace.SpanKindInternal)
	if err := p.ForceFlush(context.Background()); err != nil {
		t.Fatal(err)
	}
	requests, ended := r.close()
	if len(requests) != 1 || ended != 2 {
		t.Fatalf("%d requests of %d spans, want 1 of 2", len(requests), ended)
	}
	want := summary.Request{
		TraceID: requests[0].TraceID, SpanID: requests[0].SpanID, Name: "GET /x", Target: "/x/y",
		Start: start, Duration: time.Millisecond, Faults: 3, Stall: 123457, StallMax: 100 * time.Microsecond, Touched: 12288,
	}
	if !reflect.DeepEqual(requests[0], want) || len(want.TraceID) != 32 || len(want.SpanID) != 16 {
		t.Errorf("got %+v, want %+v", requests[0], want)
	}
	span(trace.SpanKindServer)
	if again, ended := r.close(); len(again) != 1 || ended != 2 {
		t.Errorf("a closed recorder went on: %d requests of %d spans", len(again), ended)
	}
	if both, ended := other.close(); len(both) != 2 || ended != 3 {
		t.Errorf("the second processor got %d requests of %d spans, want 2 of 3", len(both), ended)
	}
}
