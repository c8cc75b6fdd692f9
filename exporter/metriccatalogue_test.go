package exporter_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
)

func TestMetricsAreWellFormed(t *testing.T) {
	name := regexp.MustCompile(`^firsttouch(\.[a-z]+)+$`)
	units := []string{"s", "By", "1", "{fault}", "{message}", "{record}", "{thread}", "{change}"}
	var keys []string
	for _, a := range exporter.MetricAttributes() {
		keys = append(keys, a.Key)
		if !strings.HasSuffix(a.Text, ".") {
			t.Errorf("%s: %q is no sentence", a.Key, a.Text)
		}
	}
	seen := make(map[string]bool)
	used := make(map[string]bool)
	for _, m := range exporter.Metrics() {
		// OpenTelemetry: Prometheus adds _total, and units are not part of the name.
		if !name.MatchString(m.Name) || strings.HasSuffix(m.Name, "total") || strings.HasSuffix(m.Name, "seconds") || seen[m.Name] {
			t.Errorf("%q: badly named, or twice", m.Name)
		}
		seen[m.Name] = true
		if !slices.Contains(units, m.Unit) {
			t.Errorf("%s: unit %q", m.Name, m.Unit)
		}
		if (m.Instrument == exporter.Histogram) != (len(m.Bounds) > 0) || !slices.IsSorted(m.Bounds) {
			t.Errorf("%s is a %s with bounds %v", m.Name, m.Instrument, m.Bounds)
		}
		for _, k := range m.Keys {
			used[k] = true
			if !slices.Contains(keys, k) {
				t.Errorf("%s has the attribute %s, which is not explained", m.Name, k)
			}
		}
		if !strings.HasSuffix(m.Text, ".") || m.Note != "" && !strings.HasSuffix(m.Note, ".") {
			t.Errorf("%s: %q, %q: no sentences", m.Name, m.Text, m.Note)
		}
	}
	if len(used) != len(keys) {
		t.Errorf("attributes %v are explained, and %v used", keys, used)
	}
}

// TestMetricSetsFollow: the product of what the attributes can be is within the bound that is promised.
func TestMetricSetsFollow(t *testing.T) {
	words := func(word func(i uint8) string) (n int) {
		seen := make(map[string]bool)
		for i := range 256 {
			seen[word(uint8(i))] = true
		}
		return len(seen)
	}
	values := map[string]int{
		exporter.KeyRegion: exporter.MetricRegions + 1,
		exporter.KeySource: words(func(i uint8) string { return profiler.Source(i).String() }),
		exporter.KeyAccess: words(func(i uint8) string { return profiler.Access(i).String() }),
		exporter.KeyResult: 1, // those dropped have no other attribute: one more set
		exporter.KeyReason: 3,
		exporter.KeyWindow: 4,
		exporter.KeyIdle:   3,
		exporter.KeyPhase:  len(profiler.Phases()),
	}
	for _, m := range exporter.Metrics() {
		sets := 1
		for _, k := range m.Keys {
			sets *= values[k]
		}
		if slices.Contains(m.Keys, exporter.KeyResult) {
			sets++
		}
		if sets > exporter.MetricSets {
			t.Errorf("%s can have %d attribute sets: lower MetricRegions", m.Name, sets)
		}
	}
}

func TestBounds(t *testing.T) {
	stall, _ := exporter.LookupMetric(exporter.MetricFaultStall)
	if want := []float64{1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1}; !slices.Equal(stall.Bounds, want) {
		t.Errorf("stall %v", stall.Bounds)
	}
	place, _ := exporter.LookupMetric(exporter.MetricFaultPosition)
	if n := len(place.Bounds); n != 64 || place.Bounds[0] != 1.0/64 || place.Bounds[n-1] != 1 {
		t.Errorf("position %v", place.Bounds)
	}
	burst, _ := exporter.LookupMetric(exporter.MetricBurstSize)
	if n := len(burst.Bounds); burst.Bounds[0] != 1 || burst.Bounds[1] != 2 || burst.Bounds[n-1] != 65536 {
		t.Errorf("burst %v", burst.Bounds)
	}
}

func TestMetricsAreACopy(t *testing.T) {
	exporter.Metrics()[0].Keys[0] = "elsewhere"
	if exporter.Metrics()[0].Keys[0] != exporter.KeyRegion {
		t.Error("a caller changed the catalogue")
	}
}
