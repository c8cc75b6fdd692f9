package agent_test

import (
	"context"
	"log"
	"net/http"

	"github.com/firsttouch/firsttouch/agent"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// What a service adds: the README shows the same lines.
func Example() {
	ctx := context.Background()

	a, err := agent.Start(ctx)
	if err != nil {
		log.Print(err) // a setting that cannot be used: the service runs on, unprofiled
	}
	if a.Reason() != "" {
		log.Print("not profiled: ", a.Reason()) // and what to change
	}
	for _, note := range a.Notes() {
		log.Print(note) // the first one says whether system calls of the service can fail because of the profiler
	}
	defer a.Shutdown(ctx)
	http.Handle("/debug/firsttouch/", a.Handler())

	exp, err := otlptracehttp.New(ctx) // reads OTEL_EXPORTER_OTLP_ENDPOINT and its kin
	if err != nil {
		log.Fatal(err)
	}
	otel.SetTracerProvider(sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(a.SpanProcessor(sdktrace.NewBatchSpanProcessor(exp)))))
}
