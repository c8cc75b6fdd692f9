package agent_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/firsttouch/firsttouch/agent"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
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

// Metrics by OTLP, to where OTEL_EXPORTER_OTLP_ENDPOINT says, and for Prometheus to scrape. Either will do. The
// agent's metrics go where those of the rest of the service go, by the global provider.
func ExampleWithMeterProvider() {
	ctx := context.Background()
	otlp, err := otlpmetrichttp.New(ctx)
	if err != nil {
		log.Fatal(err)
	}
	scraped, err := prometheus.New()
	if err != nil {
		log.Fatal(err)
	}
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(otlp)), sdkmetric.WithReader(scraped)))
	// Exemplars, which lead to traces, are part of OpenMetrics.
	http.Handle("/metrics", promhttp.HandlerFor(client.DefaultGatherer, promhttp.HandlerOpts{EnableOpenMetrics: true}))

	a, err := agent.Start(ctx)
	if err != nil {
		log.Print(err)
	}
	defer a.Shutdown(ctx)
}
