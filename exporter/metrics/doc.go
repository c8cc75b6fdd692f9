// Package metrics gives first touches to OpenTelemetry as metrics. What there is, in which units and with
// which attributes, is in docs/metrics.md and in package exporter.
//
//	e, err := metrics.New()              // of the global meter provider
//	p, err := profiler.New(profiler.WithObserver(e.Observe))
//	err = e.Start(p)
//	defer e.Close()
//
// The agent does this for its service. Which way the metrics take is for the service to say, by the
// readers of its meter provider: OTLP, Prometheus or another; this package links none of them.
//
// Counters and gauges are read from one snapshot at each collection. Histograms are recorded fault by
// fault, shortly after the fault and not by the goroutine that faulted, but each with the span that the
// goroutine worked for: so their exemplars lead to the trace that waited. All faults of the snapshot are
// in the histograms of the same collection.
//
// # Caveats
//
// Faults before the meter provider was set are in the counters, and not in the histograms. Exemplars come
// with spans that the traces exporter knows and that are sampled; a Prometheus server receives them
// when the handler offers OpenMetrics and the server has exemplar storage switched on.
//
// Metrics have at most 200 attribute sets each: regions beyond the first 12 count as "(other)".
package metrics
