package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/promnames"
)

// comparison collects what Prometheus says other than the profiler.
type comparison struct {
	prom *prometheus
	job  string
	n    int
	bad  []string
}

func (c *comparison) mismatch(format string, args ...any) {
	c.bad = append(c.bad, fmt.Sprintf(format, args...))
}

// scalars compares the series of a metric, by the values of its attributes joined with commas.
func (c *comparison) scalars(ctx context.Context, metric string, want map[string]float64) error {
	m, _ := exporter.LookupMetric(metric)
	got, err := c.series(ctx, m, "")
	if err != nil {
		return err
	}
	for key, w := range want {
		c.n++
		if g, ok := got[key]; !ok || !same(g, w) {
			c.mismatch("%s{%s} is %v (%v), the profiler says %v", metric, key, g, ok, w)
		}
	}
	for key, g := range got {
		if _, ok := want[key]; !ok {
			c.mismatch("%s{%s} is %v, of which the profiler knows nothing", metric, key, g)
		}
	}
	return nil
}

// series are those of a metric's name with a suffix.
func (c *comparison) series(ctx context.Context, m exporter.Metric, suffix string) (map[string]float64, error) {
	match := fmt.Sprintf("job=%q", c.job)
	if slices.Contains(m.Keys, exporter.KeyWindow) {
		match += fmt.Sprintf(",window=%q", exporter.WindowTotal)
	}
	got, err := c.prom.query(ctx, fmt.Sprintf("%s%s{%s}", promnames.Of(m), suffix, match))
	if err != nil {
		return nil, err
	}
	out := make(map[string]float64)
	for _, s := range got {
		out[keyOf(m, s.Metric)] = s.Value.value
	}
	if len(out) != len(got) {
		c.mismatch("%s%s: %d series, of which %d differ in an attribute", m.Name, suffix, len(got), len(out))
	}
	return out, nil
}

func keyOf(m exporter.Metric, l labels) string {
	var key []string
	for _, k := range m.Keys {
		key = append(key, l[k])
	}
	if le, ok := l["le"]; ok {
		key = append(key, le)
	}
	return strings.Join(key, ",")
}

// histograms compares every bucket, the sum and the count.
func (c *comparison) histograms(ctx context.Context, metric string, want map[string]*counted) error {
	m, _ := exporter.LookupMetric(metric)
	buckets, err := c.series(ctx, m, "_bucket")
	if err != nil {
		return err
	}
	sums, err := c.series(ctx, m, "_sum")
	if err != nil {
		return err
	}
	counts, err := c.series(ctx, m, "_count")
	if err != nil {
		return err
	}
	if len(sums) != len(want) || len(counts) != len(want) {
		c.mismatch("%s has %d sums and %d counts, the profiler %d", metric, len(sums), len(counts), len(want))
	}
	for key, w := range want {
		c.n++
		if !same(sums[key], w.sum) || counts[key] != float64(w.count()) {
			c.mismatch("%s{%s}: %v in %v, the profiler says %v in %v", metric, key, sums[key], counts[key], w.sum, w.count())
		}
		var below uint64
		for i, n := range w.buckets {
			below += n
			le := math.Inf(1)
			if i < len(m.Bounds) {
				le = m.Bounds[i]
			}
			c.n++
			if got, ok := bucket(buckets, key, le); !ok || got != float64(below) {
				c.mismatch("%s{%s} up to %v: %v (%v), the profiler says %d", metric, key, le, got, ok, below)
			}
		}
	}
	return nil
}

// bucket finds the one with a bound, however that is written.
func bucket(all map[string]float64, key string, le float64) (float64, bool) {
	for k, v := range all {
		at := strings.LastIndexByte(k, ',')
		bound, err := strconv.ParseFloat(k[at+1:], 64)
		if err == nil && bound == le && k[:max(at, 0)] == key {
			return v, true
		}
	}
	return 0, false
}

// checkValues holds every metric of a job against the snapshot.
func checkValues(ctx context.Context, r *results, prom *prometheus, t *truth, d *demoRun, job string) error {
	c := &comparison{prom: prom, job: job}
	faults := map[string]float64{",,,dropped": 0}
	stalls, places := make(map[string]*counted), make(map[string]*counted)
	for _, f := range t.snap.Faults {
		name := t.snap.Regions[f.Region].Name
		faults[strings.Join([]string{name, f.Access, f.Source, "recorded"}, ",")]++
		at(stalls, name+","+f.Source).add(bounds(exporter.MetricFaultStall), seconds(f.StallNS))
		at(places, name).add(bounds(exporter.MetricFaultPosition), (float64(f.OffsetBytes)+0.5)/float64(t.snap.Regions[f.Region].Size))
		// The slice by whole numbers is what the histogram has to show.
		if b := places[name].buckets; b[t.slice(f)] == 0 {
			c.mismatch("a first touch at %d is not in slice %d", f.OffsetBytes, t.slice(f))
		}
	}
	mapped, touched := make(map[string]float64), make(map[string]float64)
	for _, reg := range t.snap.Regions {
		mapped[reg.Name+",total"] = float64(reg.Mapped)
		touched[reg.Name+",total"] = float64(reg.Touched)
	}
	sizes := make(map[string]*counted)
	for region, runs := range t.runs() {
		sizes[t.snap.Regions[region].Name] = runs
	}
	requests := make(map[string]int64)
	for _, f := range t.snap.Faults {
		if f.TraceID != "" {
			requests[f.TraceID] += f.StallNS
		}
	}
	stall := &counted{}
	for _, ns := range requests {
		stall.add(bounds(exporter.MetricRequestStall), seconds(ns))
	}
	for _, compare := range []func() error{
		func() error { return c.scalars(ctx, exporter.MetricFaults, faults) },
		func() error {
			return c.scalars(ctx, exporter.MetricMessages, map[string]float64{"": float64(t.snap.Engine.Messages)})
		},
		func() error { return c.histograms(ctx, exporter.MetricFaultStall, stalls) },
		func() error { return c.histograms(ctx, exporter.MetricFaultPosition, places) },
		func() error { return c.histograms(ctx, exporter.MetricBurstSize, sizes) },
		func() error { return c.histograms(ctx, exporter.MetricRequestStall, map[string]*counted{"": stall}) },
		func() error { return c.scalars(ctx, exporter.MetricRegionMapped, mapped) },
		func() error { return c.scalars(ctx, exporter.MetricRegionTouched, touched) },
		func() error { return c.resident(ctx, t) },
		func() error { return c.windows(ctx, t) },
		func() error { return c.scalars(ctx, exporter.MetricThreadsStalled, map[string]float64{"": 0}) },
		func() error {
			return c.scalars(ctx, exporter.MetricRecordsDropped, map[string]float64{
				exporter.ReasonRingFull: 0, exporter.ReasonLogFull: 0, exporter.ReasonQueueFull: 0})
		},
		func() error { return c.running(ctx, t, d) },
	} {
		if err := compare(); err != nil {
			return err
		}
	}
	if q := d.summary.Profile.Requests; q.WithFaults != len(requests) {
		c.mismatch("%d requests waited, the demo says %d", len(requests), q.WithFaults)
	}
	slices.Sort(c.bad)
	r.check("metrics of job "+job+" are the snapshot's", c.n, c.bad, "values")
	return nil
}

// running compares what goes on while nothing happens: it has to be between what was before and after.
func (c *comparison) running(ctx context.Context, t *truth, d *demoRun) error {
	metrics := []struct {
		name string
		of   func(s *summary.Engine) int64
		some bool // there is some in any case
	}{
		{exporter.MetricOverhead, func(s *summary.Engine) int64 { return int64(s.Overhead) }, true},
		{exporter.MetricThreadsStopped, func(s *summary.Engine) int64 { return int64(s.Stopped) }, t.snap.Engine.Stops > 0},
	}
	got := make([]float64, len(metrics))
	for i, v := range metrics {
		m, _ := exporter.LookupMetric(v.name)
		series, err := c.series(ctx, m, "")
		if err != nil {
			return err
		}
		value, ok := series[""]
		if !ok || len(series) != 1 {
			c.mismatch("%s has %d series, and should have one without attributes", m.Name, len(series))
		}
		got[i] = value
	}
	after, err := d.snapshot(ctx)
	if err != nil {
		return err
	}
	for i, v := range metrics {
		c.n++
		if low, high := seconds(v.of(&t.snap.Engine)), seconds(v.of(&after.Engine)); got[i] < low || got[i] > high || v.some && low == 0 {
			c.mismatch("%s is %v, the profiler said %v before and %v after", v.name, got[i], low, high)
		}
	}
	return nil
}

func at(m map[string]*counted, key string) *counted {
	if m[key] == nil {
		m[key] = &counted{}
	}
	return m[key]
}
