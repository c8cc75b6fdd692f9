// Package traces puts page faults into OpenTelemetry traces.
//
// A Processor wraps the span processor that a service has already. It learns from OnStart which
// goroutine works for which span, and hands spans on with what their goroutines waited for as
// attributes. Where a span waited for long, child spans named page_fault.burst show when, for what
// memory, and which caller touched it.
//
//	exp, _ := otlptracehttp.New(ctx)
//	proc := traces.NewProcessor(prof, sdktrace.NewBatchSpanProcessor(exp))
//	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(proc))
//
// The names and units are in package exporter.
//
// # Caveats
//
// A fault counts on the innermost span that its goroutine, or the goroutine that started it, works
// for; the attributes of the spans around it do not include it. A child goroutine counts for the
// span that its parent works for at the time of the fault. Work that is handed to another goroutine
// over a channel is bound with profiler.Span.Bind, or by starting a span there.
//
// A span that the sampler drops never reaches a processor, and its faults are unattributed, unless
// the sampler is wrapped with Sampler. A span that never ends keeps its place in the profiler until
// Shutdown.
//
// The attributes of a span are exact when it is handed on. Its bursts are made after it has ended, by
// one goroutine with a bounded queue: a slow or dead backend costs bursts, which Dropped counts, and
// never the application's time. A span has bursts when it waited 100 us or longer, or had 16 faults
// or more; then their firsttouch.faults add up to that of the span. A run that by itself is below
// both is merged with others like it into one burst, which says so, and so are those beyond 32.
package traces
