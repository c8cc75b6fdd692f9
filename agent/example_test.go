package agent_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/firsttouch/firsttouch/agent"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// A service that serves the result at an address it has already.
func ExampleAgent_Handler() {
	a, err := agent.Start(context.Background(), agent.WithFiles("/var/lib/app/*.db"))
	if err != nil {
		log.Print(err)
	}
	defer a.Shutdown(context.Background())
	http.Handle("/debug/firsttouch/", a.Handler())
}

// Memory that is profiled where that is possible, and works alike where it is not.
func ExampleAgent_Arena() {
	a, err := agent.Start(context.Background())
	if err != nil {
		log.Print(err)
	}
	defer a.Shutdown(context.Background())
	cache, err := a.Arena("cache", 1<<20)
	if err != nil {
		log.Fatal(err)
	}
	defer cache.Close()
	copy(cache.Bytes(), "value")
	fmt.Println(len(cache.Bytes()))
	// Output: 1048576
}

// The profiler in front of the service's own batcher: exp is any exporter, such as otlptracehttp.
func ExampleAgent_SpanProcessor() {
	var exp sdktrace.SpanExporter
	a, err := agent.Start(context.Background())
	if err != nil {
		log.Print(err)
	}
	defer a.Shutdown(context.Background())
	tp := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(a.Sampler(sdktrace.ParentBased(sdktrace.AlwaysSample()))),
		sdktrace.WithSpanProcessor(a.SpanProcessor(sdktrace.NewBatchSpanProcessor(exp))))
	defer tp.Shutdown(context.Background())
}
