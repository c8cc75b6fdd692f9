package agent_test

import (
	"context"
	"log"
	"log/slog"
	"net/http"

	"github.com/firsttouch/firsttouch/agent"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// What a service adds, with traces: docs/configuration.md shows the lines for them.
func Example() {
	ctx := context.Background()

	a, err := agent.Start(ctx, agent.WithLogger(slog.Default())) // what is observed, and what is not and why, is in the log
	if err != nil {
		log.Print(err) // a setting that cannot be used: the service runs on, unprofiled
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
