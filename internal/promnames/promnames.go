// Package promnames says what the metrics of the catalogue are called in Prometheus. Services do not link it.
package promnames

import (
	"slices"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/prometheus/otlptranslator"
)

// Of returns what OpenTelemetry's exporters and the server's own receiver call a metric.
func Of(m exporter.Metric) string {
	kind := map[exporter.Instrument]otlptranslator.MetricType{
		exporter.Counter: otlptranslator.MetricTypeMonotonicCounter, exporter.Gauge: otlptranslator.MetricTypeGauge,
		exporter.Histogram: otlptranslator.MetricTypeHistogram,
	}[m.Instrument]
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	name, err := namer.Build(otlptranslator.Metric{Name: m.Name, Unit: m.Unit, Type: kind})
	if err != nil {
		panic(err) // a name of the catalogue that is none: the tests of the catalogue hold that
	}
	return name
}

// Series maps the name of every series to its metric: a histogram has three.
func Series() map[string]exporter.Metric {
	all := make(map[string]exporter.Metric)
	for _, m := range exporter.Metrics() {
		suffixes := []string{""}
		if m.Instrument == exporter.Histogram {
			suffixes = []string{"_bucket", "_sum", "_count"}
		}
		for _, s := range suffixes {
			all[Of(m)+s] = m
		}
	}
	return all
}

// Labels are those that series of a metric have: its attributes, where it comes from, and for the buckets
// of a histogram their bound.
func Labels(m exporter.Metric) []string {
	labels := slices.Concat([]string{"job", "instance"}, m.Keys)
	if m.Instrument == exporter.Histogram {
		labels = append(labels, "le")
	}
	return labels
}
