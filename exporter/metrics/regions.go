package metrics

import (
	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// sums adds up regions that count under one name. A name is absent when one of its regions is not known.
type sums struct {
	bytes   map[string]int64
	unknown map[string]bool
}

func newSums() *sums { return &sums{make(map[string]int64), make(map[string]bool)} }

func (s *sums) add(name string, bytes int64, known bool) {
	s.bytes[name] += bytes
	s.unknown[name] = s.unknown[name] || !known
}

// observe observes what is known, with one more attribute unless its key is empty.
func (s *sums) observe(o metric.Observer, to metric.Int64Observable, key, value string) {
	for name, n := range s.bytes {
		if s.unknown[name] {
			continue
		}
		attrs := []attribute.KeyValue{attribute.String(exporter.KeyRegion, name)}
		if key != "" {
			attrs = append(attrs, attribute.String(key, value))
		}
		o.ObserveInt64(to, n, option(attrs...))
	}
}

func (e *Exporter) observeRegions(o metric.Observer, s *profiler.Snapshot, name *names) {
	mapped, touched := newSums(), newSums()
	for _, r := range s.Regions {
		mapped.add(name.of(r.ID), r.Mapped, true)
		touched.add(name.of(r.ID), r.Touched, true)
	}
	mapped.observe(o, e.ins.mapped, exporter.KeyWindow, exporter.WindowTotal)
	touched.observe(o, e.ins.touched, exporter.KeyWindow, exporter.WindowTotal)
}

func (e *Exporter) observeResident(o metric.Observer, s *profiler.Snapshot, known map[profiler.RegionID]int64, name *names) {
	resident := newSums()
	for _, r := range s.Regions {
		if !r.Detached {
			n, ok := known[r.ID]
			resident.add(name.of(r.ID), n, ok)
		}
	}
	resident.observe(o, e.ins.resident, "", "")
}

// observeWindows gives out the windows that ended last.
func (e *Exporter) observeWindows(o metric.Observer, name *names) {
	if e.wins == nil {
		return
	}
	list := e.wins()
	for _, v := range []struct {
		key, value string
		to         metric.Int64Observable
		size       func(*profiler.RegionWindow) (int64, bool)
	}{
		{exporter.KeyWindow, exporter.Window1s, e.ins.touched, known(func(w *profiler.RegionWindow) int64 { return w.Touched1s })},
		{exporter.KeyWindow, exporter.Window10s, e.ins.touched, known(func(w *profiler.RegionWindow) int64 { return w.Touched10s })},
		{exporter.KeyWindow, exporter.Window60s, e.ins.touched, known(func(w *profiler.RegionWindow) int64 { return w.Touched60s })},
		{exporter.KeyWindow, exporter.Window1s, e.ins.mapped, mappedWhere(func(w *profiler.RegionWindow) int64 { return w.Touched1s })},
		{exporter.KeyWindow, exporter.Window10s, e.ins.mapped, mappedWhere(func(w *profiler.RegionWindow) int64 { return w.Touched10s })},
		{exporter.KeyWindow, exporter.Window60s, e.ins.mapped, mappedWhere(func(w *profiler.RegionWindow) int64 { return w.Touched60s })},
		{exporter.KeyIdle, exporter.Idle30s, e.ins.idle, known(func(w *profiler.RegionWindow) int64 { return w.Idle30s })},
		{exporter.KeyIdle, exporter.Idle2m, e.ins.idle, known(func(w *profiler.RegionWindow) int64 { return w.Idle2m })},
		{exporter.KeyIdle, exporter.Idle10m, e.ins.idle, known(func(w *profiler.RegionWindow) int64 { return w.Idle10m })},
	} {
		sum := newSums()
		for i := range list {
			n, ok := v.size(&list[i])
			sum.add(name.of(list[i].Region), n, ok)
		}
		sum.observe(o, v.to, v.key, v.value)
	}
	e.observePhases(o, list, name)
}

// known is a size of a window and whether it is known.
func known(size func(*profiler.RegionWindow) int64) func(*profiler.RegionWindow) (int64, bool) {
	return func(w *profiler.RegionWindow) (int64, bool) { n := size(w); return n, w.Err == nil && n >= 0 }
}

// mappedWhere is what was mapped at the end of a window, where its size is known.
func mappedWhere(size func(*profiler.RegionWindow) int64) func(*profiler.RegionWindow) (int64, bool) {
	return func(w *profiler.RegionWindow) (int64, bool) { return w.Mapped, w.Err == nil && size(w) >= 0 }
}

// observePhases gives out one state a region. Those that share a name have none.
func (e *Exporter) observePhases(o metric.Observer, list []profiler.RegionWindow, name *names) {
	regions := make(map[string]int)
	for i := range list {
		regions[name.of(list[i].Region)]++
	}
	for i := range list {
		region, phase := name.of(list[i].Region), list[i].Phase()
		if phase == "" || region == exporter.RegionOther || regions[region] > 1 {
			continue
		}
		for _, p := range profiler.Phases() {
			is := int64(0)
			if p == phase {
				is = 1
			}
			o.ObserveInt64(e.ins.phase, is, option(attribute.String(exporter.KeyRegion, region), attribute.String(exporter.KeyPhase, string(p))))
		}
	}
}
