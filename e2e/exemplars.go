package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/agent"
	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/internal/promnames"
)

// checkExemplars: each leads to a span in Jaeger that had such a fault, and every slice with faults has one.
func checkExemplars(ctx context.Context, r *results, prom *prometheus, t *truth, spans map[string]*jaegerSpan, job string, began time.Time) error {
	for _, metric := range []string{exporter.MetricFaultPosition, exporter.MetricFaultStall} {
		m, _ := exporter.LookupMetric(metric)
		got, err := prom.exemplars(ctx, fmt.Sprintf("%s_bucket{job=%q}", promnames.Of(m), job), began, time.Now())
		if err != nil {
			return err
		}
		value := func(f agent.DocumentFault) float64 { return seconds(f.StallNS) }
		if metric == exporter.MetricFaultPosition {
			value = func(f agent.DocumentFault) float64 {
				return (float64(f.OffsetBytes) + 0.5) / float64(t.snap.Regions[f.Region].Size)
			}
		}
		bucketOf := func(v float64) int {
			i, _ := slices.BinarySearch(m.Bounds, v)
			return i
		}
		var bad []string
		have := make(map[string]bool) // by region and bucket
		for _, e := range got {
			s := spans[e.labels["span_id"]]
			led := s != nil && s.TraceID == e.labels["trace_id"] && slices.ContainsFunc(t.bySpan[s.SpanID], func(f agent.DocumentFault) bool {
				return same(value(f), e.value) && t.snap.Regions[f.Region].Name == e.series["region"]
			})
			if !led {
				bad = append(bad, fmt.Sprintf("%v of %s at %v leads to no span that had such a fault", e.labels, metric, e.value))
			}
			have[fmt.Sprint(e.series["region"], bucketOf(e.value))] = true
		}
		want := make(map[string]bool)
		for _, faults := range t.bySpan {
			for _, f := range faults {
				want[fmt.Sprint(t.snap.Regions[f.Region].Name, bucketOf(value(f)))] = true
			}
		}
		for k := range want {
			if !have[k] {
				bad = append(bad, fmt.Sprintf("%s has no exemplar, and faults with a trace", k))
			}
		}
		r.check(fmt.Sprintf("exemplars of %s with job %s", metric, job), len(got), bad, fmt.Sprintf("exemplars in %d buckets", len(have)))
	}
	return nil
}
