package agent

import (
	"context"

	"github.com/firsttouch/firsttouch/exporter/traces"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// SpanProcessor puts the profiler in front of next, the service's own processor (its batcher):
// faults are attributed to the spans that pass, and each span that had some gets attributes and
// page_fault.burst children, see package traces. On an agent that does nothing it is next itself.
//
//	exp, err := otlptracehttp.New(ctx) // reads OTEL_EXPORTER_OTLP_ENDPOINT and its kin
//	tp := sdktrace.NewTracerProvider(
//		sdktrace.WithSampler(a.Sampler(sdktrace.ParentBased(sdktrace.AlwaysSample()))),
//		sdktrace.WithSpanProcessor(a.SpanProcessor(sdktrace.NewBatchSpanProcessor(exp))))
//	otel.SetTracerProvider(tp)
//
// The children are started with the provider of the span that they belong to. The processor is a *traces.Processor:
// SetTracerProvider gives it another one.
//
// A nil next would end the service at its first span. It is refused with a note: spans are then made known to the profiler, and exported
// nowhere.
func (a *Agent) SpanProcessor(next sdktrace.SpanProcessor, opts ...traces.Option) sdktrace.SpanProcessor {
	if next == nil {
		a.note("SpanProcessor was given no processor: spans are known here, and exported nowhere; give it the service's own, such as sdktrace.NewBatchSpanProcessor(exporter)")
		next = nowhere{}
	}
	if a.prof == nil {
		return next
	}
	p := traces.NewProcessor(a.prof, a.metered(a.flight.Processor(next)), opts...)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.processors = append(a.processors, p)
	return p
}

// lostBursts is how many spans lost their children to a full queue. The caller holds mu.
func (a *Agent) lostBursts() (n uint64) {
	for _, p := range a.processors {
		n += p.Dropped()
	}
	return n
}

// Sampler makes the spans that next drops known to the profiler, without exporting them: their
// faults are then attributed to them and not counted as unattributed. On an agent that does
// nothing it is next itself.
func (a *Agent) Sampler(next sdktrace.Sampler) sdktrace.Sampler {
	if a.prof == nil {
		return next
	}
	return traces.Sampler(next)
}

// nowhere takes the place of a processor that is not there.
type nowhere struct{}

func (nowhere) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (nowhere) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (nowhere) Shutdown(context.Context) error                  { return nil }
func (nowhere) ForceFlush(context.Context) error                { return nil }
