package demo

import (
	"context"
	"errors"
	"sync"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/exporter/traces"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// recorder is a span processor that keeps the requests, as the profiler's processor decorated
// them, and counts all spans.
type recorder struct {
	mu       sync.Mutex // guards what follows
	requests []summary.Request
	ended    int
	closed   bool
}

// OnStart does nothing.
func (r *recorder) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd keeps a request.
func (r *recorder) OnEnd(s sdktrace.ReadOnlySpan) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.ended++
	if s.SpanKind() == trace.SpanKindServer {
		r.requests = append(r.requests, requestOf(s))
	}
}

// Shutdown does nothing.
func (r *recorder) Shutdown(context.Context) error { return nil }

// ForceFlush does nothing: nothing is held back.
func (r *recorder) ForceFlush(context.Context) error { return nil }

// close returns the requests and keeps no more: a service that goes on serving must not grow.
func (r *recorder) close() (requests []summary.Request, ended int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.requests, r.ended
}

func requestOf(s sdktrace.ReadOnlySpan) summary.Request {
	q := summary.Request{
		TraceID: s.SpanContext().TraceID().String(), SpanID: s.SpanContext().SpanID().String(),
		Name: s.Name(), Start: s.StartTime(), Duration: s.EndTime().Sub(s.StartTime()),
	}
	st := traces.StatsOf(s)
	q.Faults, q.Stall, q.StallMax, q.Touched = int64(st.Faults), st.Stall, st.Max, int64(st.Bytes)
	for _, kv := range s.Attributes() {
		if kv.Key == "url.path" {
			q.Target = kv.Value.AsString()
		}
	}
	return q
}

// fanout hands every span to several processors.
type fanout []sdktrace.SpanProcessor

// OnStart calls them all.
func (f fanout) OnStart(ctx context.Context, s sdktrace.ReadWriteSpan) {
	for _, p := range f {
		p.OnStart(ctx, s)
	}
}

// OnEnd calls them all.
func (f fanout) OnEnd(s sdktrace.ReadOnlySpan) {
	for _, p := range f {
		p.OnEnd(s)
	}
}

// Shutdown calls them all.
func (f fanout) Shutdown(ctx context.Context) error {
	return f.each(func(p sdktrace.SpanProcessor) error { return p.Shutdown(ctx) })
}

// ForceFlush calls them all.
func (f fanout) ForceFlush(ctx context.Context) error {
	return f.each(func(p sdktrace.SpanProcessor) error { return p.ForceFlush(ctx) })
}

func (f fanout) each(do func(sdktrace.SpanProcessor) error) error {
	var errs []error
	for _, p := range f {
		errs = append(errs, do(p))
	}
	return errors.Join(errs...)
}
