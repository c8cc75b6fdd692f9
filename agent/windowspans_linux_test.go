package agent

import (
	"context"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/exporter/traces"
	"github.com/firsttouch/firsttouch/uffd"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// A window is a trace of its own, says what its region showed, and leads to the request that waited in it.
func TestWindowSpans(t *testing.T) {
	path, file := database(t, 32)
	a := start(t, WithFiles(path), WithWindows(time.Hour), WithWindowSpans())
	out := tracetest.NewSpanRecorder()
	p := a.SpanProcessor(out)
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p))
	p.(*traces.Processor).SetTracerProvider(tp)
	defer tp.Shutdown(context.Background())
	_, request := tp.Tracer("service").Start(context.Background(), "request", trace.WithSpanKind(trace.SpanKindServer))
	for i := range 7 {
		touchPage(file, i)
	}
	request.End()
	_, idle := tp.Tracer("service").Start(context.Background(), "touches nothing", trace.WithSpanKind(trace.SpanKindServer))
	idle.End()
	a.windows.Load().next()
	var windows []sdktrace.ReadOnlySpan
	for _, s := range out.Ended() {
		if s.Name() == exporter.SpanWindow {
			windows = append(windows, s)
		}
	}
	if len(windows) != 1 {
		t.Fatalf("%d spans of windows, want 1", len(windows))
	}
	w := windows[0]
	if w.Parent().IsValid() || w.SpanContext().TraceID() == request.SpanContext().TraceID() || !w.EndTime().After(w.StartTime()) {
		t.Errorf("parent %v, trace %v, from %v to %v", w.Parent(), w.SpanContext().TraceID(), w.StartTime(), w.EndTime())
	}
	page := int64(uffd.PageSize())
	got := attribute.NewSet(w.Attributes()...)
	for key, want := range map[string]attribute.Value{
		exporter.AttrRegion: attribute.StringValue(path), exporter.AttrTouched: attribute.Int64Value(7 * page), exporter.AttrNew: attribute.Int64Value(7 * page),
		exporter.AttrReused: attribute.Int64Value(0), exporter.AttrMapped: attribute.Int64Value(32 * page), exporter.AttrNever: attribute.Int64Value(25 * page),
		exporter.AttrPhase: attribute.StringValue("cold"),
	} {
		if v, ok := got.Value(attribute.Key(key)); !ok || v != want {
			t.Errorf("%s is %v, want %v", key, v, want)
		}
		if e, ok := exporter.Lookup(exporter.KindAttribute, key); !ok || e.On[len(e.On)-1] != exporter.OnWindow {
			t.Errorf("%s is not in the catalogue for windows: %+v", key, e)
		}
	}
	if links := w.Links(); len(links) != 1 || links[0].SpanContext.SpanID() != request.SpanContext().SpanID() || links[0].SpanContext.TraceID() != request.SpanContext().TraceID() {
		t.Errorf("links %+v, want one to the request", w.Links())
	}
}
