package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/promnames"
)

// around is how long the end of a window and a collection may be apart for it not to be known which of
// them came first.
const around = 300 * time.Millisecond

// windows compares the metrics of windows with the windows that the profiler lists: with the last one before
// the sample, or one of several when they ended about then.
func (c *comparison) windows(ctx context.Context, t *truth) error {
	if len(t.windows.Regions) != len(t.snap.Regions) {
		c.mismatch("windows of %d regions, of %d", len(t.windows.Regions), len(t.snap.Regions))
	}
	for _, m := range []struct {
		metric string
		value  func(w *summary.RegionWindow, key string) summary.Known
	}{
		{exporter.MetricRegionTouched, func(w *summary.RegionWindow, key string) summary.Known { return touchedIn(w, key) }},
		{exporter.MetricRegionMapped, func(w *summary.RegionWindow, key string) summary.Known {
			if touchedIn(w, key) < 0 {
				return -1
			}
			return w.Mapped
		}},
		{exporter.MetricRegionIdle, func(w *summary.RegionWindow, key string) summary.Known {
			return known(map[string]summary.Known{exporter.Idle30s: w.Idle30s, exporter.Idle2m: w.Idle2m, exporter.Idle10m: w.Idle10m}, key)
		}},
	} {
		entry, _ := exporter.LookupMetric(m.metric)
		got, err := c.prom.query(ctx, fmt.Sprintf("%s{job=%q}", promnames.Of(entry), c.job))
		if err != nil {
			return err
		}
		at, err := c.prom.query(ctx, fmt.Sprintf("timestamp(%s{job=%q})", promnames.Of(entry), c.job))
		if err != nil {
			return err
		}
		when := make(map[string]float64)
		for _, s := range at {
			when[s.Metric["region"]+","+s.Metric[entry.Keys[1]]] = s.Value.value
		}
		seen := make(map[string]bool)
		for _, s := range got {
			region, key := s.Metric["region"], s.Metric[entry.Keys[1]]
			if key == exporter.WindowTotal {
				continue
			}
			c.n++
			seen[region+","+key] = true
			var could []string
			ok := false
			for _, w := range t.at(region, when[region+","+key]) {
				if v := m.value(w, key); v >= 0 {
					could = append(could, fmt.Sprint(int64(v)))
					ok = ok || float64(v) == s.Value.value
				}
			}
			if !ok {
				c.mismatch("%s{%s,%s} is %v, the windows say %s", m.metric, region, key, s.Value.value, strings.Join(could, " or "))
			}
		}
		for _, r := range t.windows.Regions {
			for _, key := range []string{exporter.Window10s, exporter.Window60s, exporter.Idle30s} {
				if len(r.Windows) > 0 && m.value(&r.Windows[len(r.Windows)-1], key) >= 0 && !seen[r.Region+","+key] {
					c.mismatch("%s{%s,%s} is missing", m.metric, r.Region, key)
				}
			}
		}
	}
	return nil
}

// known is the size under a key, or -1.
func known(sizes map[string]summary.Known, key string) summary.Known {
	if n, ok := sizes[key]; ok {
		return n
	}
	return -1
}

func touchedIn(w *summary.RegionWindow, key string) summary.Known {
	return known(map[string]summary.Known{exporter.Window1s: w.Touched1s, exporter.Window10s: w.Touched10s, exporter.Window60s: w.Touched60s}, key)
}

// at returns the windows that may have been the last of a region at a moment, in seconds since 1970.
func (t *truth) at(region string, seconds float64) (could []*summary.RegionWindow) {
	moment := time.UnixMilli(int64(seconds * 1000))
	for _, r := range t.windows.Regions {
		if r.Region != region {
			continue
		}
		for i := range r.Windows {
			end := t.snap.Start.Add(r.Windows[i].To)
			if end.Before(moment.Add(-around)) {
				could = could[:0]
			}
			if end.Before(moment.Add(around)) {
				could = append(could, &r.Windows[i])
			}
		}
	}
	return could
}

// drift is how far what the page cache holds of the database may be from what it holds a moment later: it is the
// kernel's, which takes from it and adds to it.
const drift = 0.01

// resident compares with what the page cache holds of the database now, and with what was touched of the cache.
func (c *comparison) resident(ctx context.Context, t *truth) error {
	m, _ := exporter.LookupMetric(exporter.MetricRegionResident)
	got, err := c.series(ctx, m, "")
	if err != nil {
		return err
	}
	for _, r := range t.snap.Regions {
		want, off := r.Touched, 0.0
		if r.Kind == "attached_file" {
			if want, err = residentOf(r.Name); err != nil {
				return err
			}
			off = drift * float64(want)
		}
		c.n++
		if g, ok := got[r.Name]; !ok || math.Abs(g-float64(want)) > off {
			c.mismatch("%s{%s} is %v (%v), want %d, give or take %.0f", m.Name, r.Name, g, ok, want, off)
		}
	}
	return nil
}
