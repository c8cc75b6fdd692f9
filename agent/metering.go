package agent

import (
	"github.com/firsttouch/firsttouch/exporter/metrics"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// meter makes the instruments of package metrics, where they are wanted. The service decides which way
// they take, by the readers of its meter provider.
func (a *Agent) meter() error {
	if a.cfg.noMetrics {
		return nil
	}
	var err error
	a.metrics, err = metrics.New(metrics.WithMeterProvider(a.cfg.meterProvider), metrics.WithWindows(a.latestWindows))
	return err
}

// unmeter ends the metrics.
func (a *Agent) unmeter() error {
	if a.metrics == nil {
		return nil
	}
	return a.metrics.Close()
}

// metered puts the metrics of requests in front of a span processor.
func (a *Agent) metered(next sdktrace.SpanProcessor) sdktrace.SpanProcessor {
	if a.metrics == nil {
		return next
	}
	return a.metrics.SpanProcessor(next)
}
