package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// metering is the service's OpenTelemetry pipeline for metrics: it serves them to Prometheus, and sends
// them to the collector that the environment names.
type metering struct {
	provider *sdkmetric.MeterProvider
	registry *prometheus.Registry
	endpoint string

	mu       sync.Mutex // guards what follows
	failures int
	first    error
}

func newMetering(ctx context.Context) (*metering, error) {
	m := &metering{registry: prometheus.NewRegistry(), endpoint: metricsEndpoint()}
	reader, err := otelprometheus.New(otelprometheus.WithRegisterer(m.registry))
	if err != nil {
		return nil, fmt.Errorf("metrics for Prometheus: %w", err)
	}
	opts := []sdkmetric.Option{sdkmetric.WithResource(serviceResource()), sdkmetric.WithReader(reader)}
	if m.endpoint != "" {
		exporter, err := otlpmetrichttp.New(ctx)
		if err != nil {
			return nil, fmt.Errorf("exporter for %s: %w: correct or unset OTEL_EXPORTER_OTLP_ENDPOINT", m.endpoint, err)
		}
		// OTEL_METRIC_EXPORT_INTERVAL sets how often.
		opts = append(opts, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(counting{exporter, m})))
	}
	m.provider = sdkmetric.NewMeterProvider(opts...)
	return m, nil
}

// metricsEndpoint is where the environment wants metrics sent, or empty.
func metricsEndpoint() string {
	if os.Getenv("OTEL_METRICS_EXPORTER") == "none" {
		return ""
	}
	if e := os.Getenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"); e != "" {
		return e
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
}

// handler offers OpenMetrics, without which a Prometheus server gets no exemplars.
func (m *metering) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// counting counts the failures of an exporter. They go no further: the SDK's error handler is the traces'.
type counting struct {
	sdkmetric.Exporter
	*metering
}

// Export hands on, and counts what fails.
func (c counting) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	if err := c.Exporter.Export(ctx, rm); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.failures++
		if c.first == nil {
			c.first = err
		}
	}
	return nil
}

// flush sends what there is now.
func (m *metering) flush(ctx context.Context) (Export, error) {
	err := m.provider.ForceFlush(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // the collector's failure, which Export counted
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := Export{Endpoint: m.endpoint, Failures: m.failures}
	if m.first != nil {
		e.First = m.first.Error()
	}
	return e, err
}
