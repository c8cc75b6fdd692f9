package traces_test

import (
	"context"
	"log"
	"time"

	"github.com/firsttouch/firsttouch/exporter/traces"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// A service that exports traces puts the processor in front of its batcher, and wraps its sampler so
// that the faults of requests that are not sampled are known too.
func ExampleNewProcessor() {
	ctx := context.Background()
	prof, err := profiler.New()
	if err != nil {
		log.Fatal(err)
	}
	defer prof.Close()
	exp, err := otlptracehttp.New(ctx)
	if err != nil {
		log.Fatal(err)
	}
	tp := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(traces.Sampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.1)))),
		sdktrace.WithSpanProcessor(traces.NewProcessor(prof, sdktrace.NewBatchSpanProcessor(exp), traces.WithSlow(5*time.Millisecond))))
	defer tp.Shutdown(ctx)
	// Spans that are started with tp from here on show what they waited for.
}
