package profiler

import "slices"

// spanTable holds the spans that faults of a snapshot are attributed to.
type spanTable struct{ m map[SpanRef]SpanStats }

func newSpanTable(from map[SpanRef]*SpanStats) *spanTable {
	t := &spanTable{m: make(map[SpanRef]SpanStats, len(from))}
	for ref, s := range from {
		c := *s
		c.Regions = slices.Clone(s.Regions)
		t.m[ref] = c
	}
	return t
}

func (t *spanTable) get(ref SpanRef) (SpanStats, bool) {
	if t == nil {
		return SpanStats{}, false
	}
	s, ok := t.m[ref]
	return s, ok
}
