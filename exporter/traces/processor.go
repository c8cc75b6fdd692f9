package traces

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// ScopeName is the instrumentation scope of the spans that this package starts.
const ScopeName = "github.com/firsttouch/firsttouch/exporter/traces"

// Source is what a Processor needs of a *profiler.Profiler. It is safe for concurrent use.
type Source interface {
	StartSpan(traceID [16]byte, spanID [8]byte) *profiler.Span
	Frames(profiler.StackID) []runtime.Frame
	RegionName(profiler.RegionID) string
	Granule(profiler.RegionID) int
}

var _ Source = (*profiler.Profiler)(nil)

// Processor is a span processor that adds faults to the spans that pass through it. It is safe for
// concurrent use.
type Processor struct {
	src    Source
	begin  func(traceID [16]byte, spanID [8]byte) observed
	next   sdktrace.SpanProcessor
	config config
	clock  clock
	live   sync.Map // spanKey -> *liveSpan

	dropped   atomic.Uint64
	abandoned atomic.Bool // the time for draining the queue is over
	jobs      chan job
	flushes   chan chan struct{}
	done      chan struct{} // closed by the worker when it ends

	mu     sync.RWMutex // guards what follows, and the closing of jobs against sends
	closed bool
	given  trace.TracerProvider // nil: the span's own
}

var _ sdktrace.SpanProcessor = (*Processor)(nil)

// observed is what a Processor needs of a *profiler.Span.
type observed interface {
	MarkUnsampled()
	End() profiler.SpanStats
	Faults() []profiler.Fault
	Release()
}

type spanKey struct {
	trace trace.TraceID
	span  trace.SpanID
}

// liveSpan is a span that has started and not ended.
type liveSpan struct {
	observed
	provider trace.TracerProvider // that started it
}

// NewProcessor returns a processor that decorates spans and hands them to next. Shutdown, which the
// tracer provider calls, ends its goroutine.
// It panics where next is nil: a span could not be handed on.
func NewProcessor(src Source, next sdktrace.SpanProcessor, opts ...Option) *Processor {
	if next == nil {
		panic("traces.NewProcessor: next is nil: give the processor that exports spans, such as a batcher")
	}
	begin := func(traceID [16]byte, spanID [8]byte) observed { return src.StartSpan(traceID, spanID) }
	return newProcessor(src, begin, next, newConfig(opts))
}

func newProcessor(src Source, begin func([16]byte, [8]byte) observed, next sdktrace.SpanProcessor, c config) *Processor {
	p := &Processor{
		src: src, begin: begin, next: next, config: c, given: c.provider, clock: newClock(profiler.Monotonic),
		jobs: make(chan job, c.queue), flushes: make(chan chan struct{}), done: make(chan struct{}),
	}
	go p.work() // joined by Shutdown
	return p
}

// SetTracerProvider sets the provider that bursts are started with, see WithTracerProvider.
func (p *Processor) SetTracerProvider(tp trace.TracerProvider) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.given = tp
}

// Dropped is the number of spans whose bursts were lost: because the queue was full, or because
// Shutdown ran out of time. Their own attributes were exact.
func (p *Processor) Dropped() uint64 { return p.dropped.Load() }

// OnStart binds the calling goroutine to the span.
func (p *Processor) OnStart(parent context.Context, s sdktrace.ReadWriteSpan) {
	// Bursts pass through here too, when they are started with a provider that has this processor.
	// The goroutine that makes them works for no request.
	if s.InstrumentationScope().Name != ScopeName && !p.isClosed() {
		c := s.SpanContext()
		o := p.begin(c.TraceID(), c.SpanID())
		if !c.IsSampled() {
			o.MarkUnsampled()
		}
		p.live.Store(spanKey{c.TraceID(), c.SpanID()}, &liveSpan{o, s.TracerProvider()})
	}
	p.next.OnStart(parent, s)
}

// OnEnd ends the span's attribution and hands it on with what it waited for.
func (p *Processor) OnEnd(s sdktrace.ReadOnlySpan) {
	c := s.SpanContext()
	v, ok := p.live.LoadAndDelete(spanKey{c.TraceID(), c.SpanID()})
	if !ok {
		p.next.OnEnd(s)
		return
	}
	l := v.(*liveSpan)
	totals := l.End()
	if totals.Faults == 0 {
		l.Release()
		p.next.OnEnd(decorateBlocked(s, totals))
		return
	}
	p.next.OnEnd(p.decorate(s, totals))
	// Nobody would see the bursts of a span that is not sampled.
	if !c.IsSampled() || !shown(totals.Stall, totals.Faults) || !p.enqueue(job{
		observed: l.observed, faults: totals.Faults, tracer: p.tracer(l.provider),
		parent: c, start: s.StartTime(), end: s.EndTime(),
	}) {
		l.Release()
	}
}

// tracer returns what starts the bursts of a span. It is asked for as the span ends: a provider that is
// shutting down gives no more tracers, and still lets those that it gave start spans.
func (p *Processor) tracer(own trace.TracerProvider) trace.Tracer {
	p.mu.RLock()
	given := p.given
	p.mu.RUnlock()
	if given != nil {
		own = given
	}
	return own.Tracer(ScopeName, trace.WithInstrumentationVersion(exporter.Version))
}

func (p *Processor) isClosed() bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.closed
}
