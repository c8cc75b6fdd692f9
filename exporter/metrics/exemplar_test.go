package metrics

import (
	"math"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
)

// Each of the 64 slices keeps one exemplar, and it is of a trace that touched that slice.
func TestOneExemplarASlice(t *testing.T) {
	const pages = 640
	src := newSource(region("index.db", pages*4096))
	r := newRig(t, src)
	var refs []profiler.SpanRef
	for i := range exporter.PositionSlices {
		refs = append(refs, src.span(byte(i+1), byte(i+1), false))
	}
	// Recorded by none of the goroutines that the spans belong to; the first byte of a page, so that
	// every tenth is on the bound between two slices.
	for page := range int64(pages) {
		r.fault(profiler.Fault{Time: time.Duration(page) * us, Offset: page * 4096, Span: refs[page/10], Source: profiler.SourceDisk})
	}
	ps := points(t, r.collect(t)[exporter.MetricFaultPosition])
	if len(ps) != 1 || len(ps[0].exemplars) != exporter.PositionSlices {
		t.Fatalf("%d points, %d exemplars", len(ps), len(ps[0].exemplars))
	}
	for i, n := range ps[0].buckets[:exporter.PositionSlices] {
		if n != 10 {
			t.Errorf("slice %d has %d faults, want 10", i, n)
		}
	}
	seen := make(map[int]bool)
	for _, e := range ps[0].exemplars {
		slice := int(math.Floor(e.value * exporter.PositionSlices))
		seen[slice] = true
		if want := byte(slice + 1); e.trace[0] != want || e.span[0] != want {
			t.Errorf("the exemplar of slice %d is of trace %d and span %d", slice, e.trace[0], e.span[0])
		}
	}
	if len(seen) != exporter.PositionSlices {
		t.Errorf("%d slices have an exemplar", len(seen))
	}
}

// A trace that no backend has is not linked to, and neither is a fault without a span.
func TestNoExemplarWithoutATrace(t *testing.T) {
	src := newSource(region("a.db", 1<<20))
	r := newRig(t, src)
	dropped := src.span(1, 1, true)
	for i := range 50 {
		r.fault(profiler.Fault{Time: time.Duration(i) * us, Offset: int64(i) * 4096, Span: dropped})
		r.fault(profiler.Fault{Time: time.Duration(i) * us, Offset: int64(i) * 4096})
	}
	for _, name := range []string{exporter.MetricFaultPosition, exporter.MetricFaultStall} {
		for _, p := range points(t, r.collect(t)[name]) {
			if p.count != 100 || len(p.exemplars) != 0 {
				t.Errorf("%s: %d faults, exemplars %v", name, p.count, p.exemplars)
			}
		}
	}
}

func TestPosition(t *testing.T) {
	for _, c := range []struct {
		offset, size int64
		slice        int
	}{
		{0, 64 * 4096, 0},
		{4095, 64 * 4096, 0},
		{4096, 64 * 4096, 1},
		{64*4096 - 1, 64 * 4096, 63},
		{1 << 39, 1 << 40, 32},
		{1<<39 - 1, 1 << 40, 31},
		{1<<40 - 1, 1 << 40, 63},
		{5, 0, 0},                // not known
		{9 * 4096, 8 * 4096, 63}, // the file has grown, and its size is not known yet
	} {
		p := position(c.offset, c.size)
		bounds, _ := exporter.LookupMetric(exporter.MetricFaultPosition)
		slice := 0
		for p > bounds.Bounds[slice] {
			slice++
		}
		if slice != c.slice {
			t.Errorf("%d of %d is in slice %d, want %d", c.offset, c.size, slice, c.slice)
		}
	}
}
