package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/exporter/traces"
	"go.opentelemetry.io/otel/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// requests adds up what the spans of a request waited for. A request is a span without a parent in this
// process, with the spans beneath it.
type requests struct {
	stall, blocked metric.Float64Histogram

	mu   sync.Mutex // guards what follows
	open map[trace.TraceID]*request
}

// request is what goes on in one trace: several roots when a caller sends several requests of one trace.
type request struct {
	roots int
	stall time.Duration // of the spans beneath, since the last root ended
}

func (r *requests) init(stall, blocked metric.Float64Histogram) {
	r.stall, r.blocked, r.open = stall, blocked, make(map[trace.TraceID]*request)
}

// SpanProcessor records MetricRequestStall and MetricRequestBlocked. It belongs right behind the processor of package traces, which tells it what a span waited for: traces.NewProcessor(p, e.SpanProcessor(next)).
func (e *Exporter) SpanProcessor(next sdktrace.SpanProcessor) sdktrace.SpanProcessor {
	return &processor{SpanProcessor: next, requests: &e.requests}
}

type processor struct {
	sdktrace.SpanProcessor
	requests *requests
}

func (p *processor) OnStart(parent context.Context, s sdktrace.ReadWriteSpan) {
	if isRoot(s) {
		p.requests.begin(s.SpanContext().TraceID())
	}
	p.SpanProcessor.OnStart(parent, s)
}

func (p *processor) OnEnd(s sdktrace.ReadOnlySpan) {
	// Bursts repeat the stall of the span that they belong to.
	if s.Name() != exporter.SpanBurst {
		p.requests.end(s, isRoot(s))
	}
	p.SpanProcessor.OnEnd(s)
}

func isRoot(s sdktrace.ReadOnlySpan) bool {
	return !s.Parent().IsValid() || s.Parent().IsRemote()
}

func (r *requests) begin(id trace.TraceID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.open[id]
	if q == nil {
		q = &request{}
		r.open[id] = q
	}
	q.roots++
}

func (r *requests) end(s sdktrace.ReadOnlySpan, root bool) {
	stats := traces.StatsOf(s)
	r.mu.Lock()
	q := r.open[s.SpanContext().TraceID()]
	if q == nil {
		r.mu.Unlock()
		return // beneath a request that has ended
	}
	q.stall += stats.Stall
	if !root {
		r.mu.Unlock()
		return
	}
	sum := q.stall
	q.stall = 0
	if q.roots--; q.roots == 0 {
		delete(r.open, s.SpanContext().TraceID())
	}
	r.mu.Unlock()
	ctx := trace.ContextWithSpanContext(context.Background(), s.SpanContext())
	if sum > 0 {
		r.stall.Record(ctx, sum.Seconds())
	}
	// That of the spans beneath is a part of it.
	if stats.Blocked > 0 {
		r.blocked.Record(ctx, stats.Blocked.Seconds())
	}
}
