package metrics

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// source is a profiler whose faults were decided beforehand.
type source struct {
	b        *profiler.SnapshotBuilder
	mu       sync.Mutex // guards regions
	regions  []profiler.RegionStats
	spans    map[profiler.SpanRef]profiler.SpanStats
	stalled  int
	resident map[profiler.RegionID]int64
}

func newSource(regions ...profiler.RegionStats) *source {
	s := &source{b: profiler.NewSnapshotBuilder(), spans: make(map[profiler.SpanRef]profiler.SpanStats)}
	for _, r := range regions {
		s.add(r)
	}
	return s
}

// add makes a region known, also while the exporter records.
func (s *source) add(r profiler.RegionStats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.regions = append(s.regions, r)
	s.b.AddRegion(r)
}

func (s *source) region(id profiler.RegionID) profiler.RegionStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.regions[id]
}

func (s *source) Snapshot() *profiler.Snapshot          { return s.b.Snapshot() }
func (s *source) Resident() map[profiler.RegionID]int64 { return s.resident }
func (s *source) Stalled() int                          { return s.stalled }
func (s *source) RegionGroup(id profiler.RegionID) string {
	r := s.region(id)
	return cmp.Or(r.Group, r.Name)
}
func (s *source) RegionSize(id profiler.RegionID) int64 { return s.region(id).Size }
func (s *source) Span(r profiler.SpanRef) (profiler.SpanStats, bool) {
	v, ok := s.spans[r]
	return v, ok
}

// span makes a span known.
func (s *source) span(trace, id byte, unexported bool) profiler.SpanRef {
	v := profiler.SpanStats{TraceID: [16]byte{trace}, SpanID: [8]byte{id}, Unsampled: unexported}
	ref := s.b.AddSpan(v)
	s.spans[ref] = v
	return ref
}

// rig is an Exporter over a source, with a reader of its own.
type rig struct {
	*Exporter
	src    *source
	reader *sdkmetric.ManualReader
	seq    uint64
}

func newRig(t *testing.T, src *source, opts ...Option) *rig {
	t.Helper()
	r := &rig{src: src, reader: sdkmetric.NewManualReader()}
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader))
	var err error
	if r.Exporter, err = New(append(opts, WithMeterProvider(mp))...); err != nil {
		t.Fatal(err)
	}
	r.now = func() time.Duration { return time.Hour }
	if err := r.Start(src); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// fault happens to the source, which tells the exporter, as a profiler does.
func (r *rig) fault(f profiler.Fault) {
	f.Seq, f.Messages = r.seq, 1
	r.seq++
	r.src.b.AddFault(f)
	r.Observe(f)
}

// collect reads everything, by the names of the metrics.
func (r *rig) collect(t *testing.T) map[string]metricdata.Metrics {
	t.Helper()
	return collect(t, r.reader)
}

func collect(t *testing.T, reader *sdkmetric.ManualReader) map[string]metricdata.Metrics {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &rm); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]metricdata.Metrics)
	for _, s := range rm.ScopeMetrics {
		if s.Scope.Name != ScopeName || s.Scope.Version == "" {
			t.Errorf("scope %+v", s.Scope)
		}
		for _, m := range s.Metrics {
			out[m.Name] = m
		}
	}
	return out
}

// point is what the tests look at of a data point.
type point struct {
	attrs     attribute.Set
	value     float64  // of a counter or gauge; the sum of a histogram
	count     uint64   // of a histogram
	buckets   []uint64 // of a histogram
	bounds    []float64
	exemplars []exemplar
}

type exemplar struct {
	trace, span [8]byte // the first bytes of the trace's
	value       float64
}

// points flattens the kinds of data.
func points(t *testing.T, m metricdata.Metrics) (out []point) {
	t.Helper()
	switch d := m.Data.(type) {
	case metricdata.Sum[int64]:
		if !d.IsMonotonic {
			t.Errorf("%s is not monotonic", m.Name)
		}
		return scalars(d.DataPoints)
	case metricdata.Sum[float64]:
		return scalars(d.DataPoints)
	case metricdata.Gauge[int64]:
		return scalars(d.DataPoints)
	case metricdata.Gauge[float64]:
		return scalars(d.DataPoints)
	case metricdata.Histogram[int64]:
		return histograms(d.DataPoints)
	case metricdata.Histogram[float64]:
		return histograms(d.DataPoints)
	}
	t.Fatalf("%s has data %T", m.Name, m.Data)
	return nil
}

func scalars[N int64 | float64](dps []metricdata.DataPoint[N]) (out []point) {
	for _, p := range dps {
		out = append(out, point{attrs: p.Attributes, value: float64(p.Value)})
	}
	return out
}

func histograms[N int64 | float64](dps []metricdata.HistogramDataPoint[N]) (out []point) {
	for _, p := range dps {
		q := point{attrs: p.Attributes, value: float64(p.Sum), count: p.Count, buckets: p.BucketCounts, bounds: p.Bounds}
		for _, e := range p.Exemplars {
			x := exemplar{value: float64(e.Value)}
			copy(x.trace[:], e.TraceID)
			copy(x.span[:], e.SpanID)
			q.exemplars = append(q.exemplars, x)
		}
		out = append(out, q)
	}
	return out
}

// values are the points of a metric by their attributes, in words.
func values(t *testing.T, m metricdata.Metrics) map[string]float64 {
	t.Helper()
	out := make(map[string]float64)
	for _, p := range points(t, m) {
		out[p.attrs.Encoded(attribute.DefaultEncoder())] = p.value
	}
	return out
}

func region(name string, size int64) profiler.RegionStats {
	return profiler.RegionStats{Name: name, Granule: 4096, Size: size, Mapped: size}
}

func key(format string, args ...any) string { return fmt.Sprintf(format, args...) }
