package metrics

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

const us = time.Microsecond

// busy is a rig in which something of everything happened.
func busy(t *testing.T) *rig {
	src := newSource(region("index.db", 64*4096), region("cache", 1<<20))
	src.stalled = 3
	src.b.SetStats(profiler.Stats{Dropped: 2, Overhead: 1500 * time.Millisecond, Off: "by hand", Stops: 3, Stopped: 250 * time.Millisecond})
	src.resident = map[profiler.RegionID]int64{1: 8192} // of index.db it is not known
	windows := []profiler.RegionWindow{
		{Region: 0, Touched: 4096, Reused: 4096, Mapped: 64 * 4096, Touched1s: -1, Touched10s: 4096, Touched60s: 8192, Idle30s: 4096, Idle2m: -1, Idle10m: -1},
		{Region: 1, Err: errors.New("busy")},
	}
	r := newRig(t, src, WithWindows(func() []profiler.RegionWindow { return windows }))
	for i := range 10 {
		r.fault(profiler.Fault{Time: time.Duration(i) * 50 * us, Stall: 20 * us, Offset: int64(i) * 4096, Goroutine: 7, Source: profiler.SourceDisk})
	}
	r.fault(profiler.Fault{Time: time.Second, Stall: 3 * us, Offset: 4096, Goroutine: 7, Region: 1, Access: profiler.Write, Source: profiler.SourceZero})
	return r
}

func TestValuesAreThoseOfTheSnapshot(t *testing.T) {
	got := busy(t).collect(t)
	for name, want := range map[string]map[string]float64{
		exporter.MetricFaults: {
			"access=read,region=index.db,result=recorded,source=disk": 10,
			"access=write,region=cache,result=recorded,source=zero":   1,
			"result=dropped": 2,
		},
		exporter.MetricMessages: {"": 11},
		exporter.MetricRegionMapped: {"region=index.db,window=total": 64 * 4096, "region=cache,window=total": 1 << 20,
			"region=index.db,window=10s": 64 * 4096, "region=index.db,window=60s": 64 * 4096},
		exporter.MetricRegionTouched: {"region=index.db,window=total": 10 * 4096, "region=cache,window=total": 4096,
			"region=index.db,window=10s": 4096, "region=index.db,window=60s": 8192},
		exporter.MetricRegionResident: {"region=cache": 8192},
		exporter.MetricRegionIdle:     {"idle=30s,region=index.db": 4096},
		exporter.MetricRegionPhase:    {"phase=steady,region=index.db": 1, "phase=cold,region=index.db": 0, "phase=warming,region=index.db": 0, "phase=thrashing,region=index.db": 0},
		exporter.MetricThreadsStalled: {"": 3},
		exporter.MetricRecordsDropped: {"reason=ring_full": 2, "reason=log_full": 0, "reason=metrics_queue_full": 0},
		exporter.MetricOverhead:       {"": 1.5},
		exporter.MetricThreadsStopped: {"": 0.25},
		exporter.MetricOff:            {"": 1},
		exporter.MetricBurstSize:      {"region=index.db": 10, "region=cache": 1},
	} {
		if v := values(t, got[name]); !maps.Equal(v, want) {
			t.Errorf("%s: %v, want %v", name, v, want)
		}
	}
	for _, p := range points(t, got[exporter.MetricFaultStall]) {
		src, _ := p.attrs.Value(exporter.KeySource)
		want := map[string]struct {
			count uint64
			sum   time.Duration
		}{"disk": {10, 200 * us}, "zero": {1, 3 * us}}[src.AsString()]
		if p.count != want.count || math.Abs(p.value-want.sum.Seconds()) > 1e-12 {
			t.Errorf("stalls from %s: %d of %v s, want %v", src.AsString(), p.count, p.value, want)
		}
		// 20 us is the upper bound of its bucket: (10, 20].
		if src.AsString() == "disk" && p.buckets[slices.Index(p.bounds, 2e-5)] != 10 {
			t.Errorf("buckets %v with bounds %v", p.buckets, p.bounds)
		}
	}
}

// TestWhatIsEmittedIsInTheCatalogue, and the other way round.
func TestWhatIsEmittedIsInTheCatalogue(t *testing.T) {
	r := busy(t)
	r.requests.stall.Record(t.Context(), 0.5) // there are no spans here
	r.requests.blocked.Record(t.Context(), 0.5)
	got := r.collect(t)
	for _, m := range exporter.Metrics() {
		e, ok := got[m.Name]
		if !ok {
			t.Errorf("%s is in the catalogue and was not emitted", m.Name)
			continue
		}
		delete(got, m.Name)
		if e.Unit != m.Unit || e.Description != m.Text || kind(e.Data) != m.Instrument {
			t.Errorf("%s: %q, %q, a %s; the catalogue has %+v", m.Name, e.Unit, e.Description, kind(e.Data), m)
		}
		for _, p := range points(t, e) {
			for _, a := range p.attrs.ToSlice() {
				if !slices.Contains(m.Keys, string(a.Key)) {
					t.Errorf("%s has the attribute %s, which the catalogue does not name", m.Name, a.Key)
				}
			}
			if !slices.Equal(p.bounds, m.Bounds) {
				t.Errorf("%s has bounds %v, the catalogue %v", m.Name, p.bounds, m.Bounds)
			}
		}
	}
	for name := range got {
		t.Errorf("%s was emitted and is not in the catalogue", name)
	}
}

func kind(d metricdata.Aggregation) exporter.Instrument {
	switch d.(type) {
	case metricdata.Sum[int64], metricdata.Sum[float64]:
		return exporter.Counter
	case metricdata.Gauge[int64], metricdata.Gauge[float64]:
		return exporter.Gauge
	}
	return exporter.Histogram
}

// A service that maps file after file has at most 200 attribute sets a metric, and nothing is lost.
func TestAttributeSetsAreBounded(t *testing.T) {
	var regions []profiler.RegionStats
	for i := range 1000 {
		regions = append(regions, region(key("file-%d.db", i), 1<<20))
	}
	r := newRig(t, newSource(regions...), WithWindows(func() (list []profiler.RegionWindow) {
		for i := range regions {
			list = append(list, profiler.RegionWindow{Region: profiler.RegionID(i), Mapped: 1})
		}
		return list
	}))
	n := 0
	for i := range regions {
		for _, access := range []profiler.Access{profiler.Read, profiler.Write} {
			for source := profiler.SourceUnknown; source.String() != "unknown" || source == profiler.SourceUnknown; source++ {
				r.fault(profiler.Fault{Time: time.Duration(n) * time.Second, Region: profiler.RegionID(i), Access: access, Source: source})
				n++
			}
		}
	}
	got := r.collect(t)
	for name, m := range got {
		if sets := len(points(t, m)); sets > exporter.MetricSets {
			t.Errorf("%s has %d attribute sets", name, sets)
		}
	}
	if sum := total(t, got[exporter.MetricFaults]); sum != float64(n) {
		t.Errorf("%v faults of %d", sum, n)
	}
	if sum := total(t, got[exporter.MetricRegionMapped]); sum != 1000<<20+3*1000 {
		t.Errorf("%v bytes mapped", sum)
	}
	var recorded uint64
	for _, p := range points(t, got[exporter.MetricFaultPosition]) {
		recorded += p.count
	}
	if recorded != uint64(n) {
		t.Errorf("%d of %d positions", recorded, n)
	}
	if v := values(t, got[exporter.MetricRegionTouched]); len(v) != 4*(exporter.MetricRegions+1) || v["region=(other),window=total"] != (1000-exporter.MetricRegions)*4096 {
		t.Errorf("touched %v", v)
	}
}

func total(t *testing.T, m metricdata.Metrics) (sum float64) {
	for _, p := range points(t, m) {
		sum += p.value
	}
	return sum
}

// Files that come and go count for their group. Whatever comes later, no total goes back, the first groups keep their names, and all
// names together add up.
func TestGroupsAddUp(t *testing.T) {
	src := newSource()
	r := newRig(t, src)
	var before map[string]float64
	faults := 0
	for round := range 30 {
		for i := range 10 {
			file := region(fmt.Sprintf("file %d of round %d", i, round), 1<<20)
			file.Group = fmt.Sprint("group ", i*(1+round/10)) // more groups than have names, some of them later
			src.add(file)
			for range i {
				r.fault(profiler.Fault{Time: time.Duration(faults) * time.Second, Region: profiler.RegionID(len(src.regions) - 1)})
				faults++
			}
		}
		got := r.collect(t)
		now := values(t, got[exporter.MetricFaults])
		if len(points(t, got[exporter.MetricRegionTouched])) > exporter.MetricRegions+1 || total(t, got[exporter.MetricFaults]) != float64(faults) {
			t.Fatalf("round %d: %d names, %v faults of %d", round, len(points(t, got[exporter.MetricRegionTouched])), total(t, got[exporter.MetricFaults]), faults)
		}
		var recorded uint64
		for _, p := range points(t, got[exporter.MetricFaultPosition]) {
			recorded += p.count
		}
		if recorded != uint64(faults) {
			t.Fatalf("round %d: %d positions of %d", round, recorded, faults)
		}
		for k, v := range before {
			if now[k] < v {
				t.Fatalf("round %d: %s went back from %v to %v", round, k, v, now[k])
			}
		}
		before = now
	}
}

// A file that is attached again has the same name: two regions of one name count together.
func TestRegionsOfOneNameCountTogether(t *testing.T) {
	r := newRig(t, newSource(region("a.db", 4096), region("a.db", 8192)))
	r.fault(profiler.Fault{Source: profiler.SourceDisk})
	r.fault(profiler.Fault{Source: profiler.SourceDisk, Region: 1, Time: time.Second})
	got := r.collect(t)
	if v := values(t, got[exporter.MetricRegionMapped]); !maps.Equal(v, map[string]float64{"region=a.db,window=total": 12288}) {
		t.Errorf("mapped %v", v)
	}
	if v := values(t, got[exporter.MetricFaults])["access=read,region=a.db,result=recorded,source=disk"]; v != 2 {
		t.Errorf("%v faults", v)
	}
}

func TestAFullQueueIsCounted(t *testing.T) {
	src := newSource(region("a.db", 1<<20))
	r := newRig(t, src, WithQueue(4))
	r.mu.Lock() // the goroutine that empties the queue does not get to it
	for i := range 10 {
		r.fault(profiler.Fault{Time: time.Duration(i) * time.Second})
	}
	r.mu.Unlock()
	got := r.collect(t)
	lost := values(t, got[exporter.MetricRecordsDropped])["reason=metrics_queue_full"]
	var recorded uint64
	for _, p := range points(t, got[exporter.MetricFaultStall]) {
		recorded += p.count
	}
	// The goroutine may have taken one fill before it was held up.
	if lost < 2 || recorded+uint64(lost) != 10 {
		t.Errorf("%v lost and %d recorded of 10", lost, recorded)
	}
	if sum := total(t, got[exporter.MetricFaults]); sum != 10 {
		t.Errorf("%v faults counted of 10", sum)
	}
}

func TestOneProfilerOnly(t *testing.T) {
	r := newRig(t, newSource())
	if err := r.Start(newSource()); !errors.Is(err, ErrStarted) {
		t.Errorf("a second Start: %v", err)
	}
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Error(err)
	}
	if got := r.collect(t); len(got) != 0 {
		t.Errorf("%d metrics after Close", len(got))
	}
}
