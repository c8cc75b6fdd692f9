package main

import (
	"context"
	"os"

	"github.com/firsttouch/firsttouch/agent"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// tracing makes the service's provider of spans: the usual one, with the agent's processor in front
// of the batcher. otlptracehttp and the SDK read the OTEL_ variables; without an endpoint in them
// spans are exported to nowhere.
func tracing(ctx context.Context, a *agent.Agent) (*sdktrace.TracerProvider, error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return sdktrace.NewTracerProvider(), nil
	}
	exp, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	tp := sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(a.SpanProcessor(sdktrace.NewBatchSpanProcessor(exp))))
	otel.SetTracerProvider(tp)
	return tp, nil
}
