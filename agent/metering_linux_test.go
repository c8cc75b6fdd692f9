package agent

import (
	"context"
	"testing"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/exporter/metrics"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// metricsOf reads what the agent's scope has.
func metricsOf(t *testing.T, reader *sdkmetric.ManualReader) map[string]metricdata.Aggregation {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &rm); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]metricdata.Aggregation)
	for _, s := range rm.ScopeMetrics {
		if s.Scope.Name == metrics.ScopeName {
			for _, m := range s.Metrics {
				out[m.Name] = m.Data
			}
		}
	}
	return out
}

// A service that sets the global meter provider, as it does for its other metrics, has ours too: of an arena
// whose pages it touches within a span, everything is there.
func TestMetricsByTheGlobalProvider(t *testing.T) {
	t.Cleanup(func() { otel.SetMeterProvider(noop.NewMeterProvider()) })
	reader := sdkmetric.NewManualReader()
	// Before Start: one set later reaches what was made before it once in a process only, and tests are repeated.
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	a := start(t)
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.SpanProcessor(tracetest.NewSpanRecorder())))
	mem, err := a.Arena("cache", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	_, span := tp.Tracer("service").Start(t.Context(), "request")
	clear(mem.Bytes())
	span.End()
	if err := tp.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got map[string]metricdata.Aggregation
	eventually(t, "the run of first touches is over", func() bool {
		got = metricsOf(t, reader)
		return got[exporter.MetricBurstSize] != nil
	})
	for _, m := range exporter.Metrics() {
		// Without windows nothing is known of them, which is not 0.
		absent := m.Name == exporter.MetricRegionIdle || m.Name == exporter.MetricRegionPhase ||
			m.Name == exporter.MetricRequestBlocked // nobody lost anything
		if (got[m.Name] == nil) != absent {
			t.Errorf("%s: %v, is to be absent: %v", m.Name, got[m.Name], absent)
		}
	}
	s := a.Profiler().Snapshot()
	var sum int64
	for _, p := range got[exporter.MetricFaults].(metricdata.Sum[int64]).DataPoints {
		sum += p.Value
	}
	if sum == 0 || uint64(sum) != s.Stats.Faults {
		t.Errorf("%d faults, the snapshot has %d", sum, s.Stats.Faults)
	}
	var recorded uint64
	for _, p := range got[exporter.MetricFaultStall].(metricdata.Histogram[float64]).DataPoints {
		recorded += p.Count
	}
	if recorded != s.Stats.Records {
		t.Errorf("%d stalls, the snapshot has %d", recorded, s.Stats.Records)
	}
	stop(t, a)
	if got := metricsOf(t, reader)[exporter.MetricFaults]; got != nil {
		t.Errorf("after Shutdown: %v", got)
	}
}

func TestMetricsCanBeSwitchedOff(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	a := start(t, WithoutMetrics(), WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	mem, err := a.Arena("cache", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	clear(mem.Bytes())
	if got := metricsOf(t, reader); len(got) != 0 {
		t.Errorf("%d metrics", len(got))
	}
}

func TestMetricsByAProviderOfItsOwn(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	start(t, WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))))
	if got := metricsOf(t, reader); got[exporter.MetricMessages] == nil {
		t.Errorf("%d metrics, no messages", len(got))
	}
}
