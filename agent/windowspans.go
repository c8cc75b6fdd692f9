package agent

import (
	"cmp"
	"slices"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/traces"
	"github.com/firsttouch/firsttouch/profiler"
)

// windowsEnded makes the spans of windows, where they are wanted and spans are seen at all.
func (a *Agent) windowsEnded(list []profiler.RegionWindow) {
	a.mu.Lock()
	processors := slices.Clone(a.processors)
	a.mu.Unlock()
	if !a.cfg.winSpans || len(processors) == 0 {
		return
	}
	for _, w := range list {
		processors[0].Window(w, worst(a.flight.RequestsSince(w.Start)))
	}
}

// worst are links to the requests that waited, longest first.
func worst(requests []recording.Request) (links []traces.Link) {
	for _, r := range requests {
		if r.Entry && r.Tree.Stall > 0 {
			links = append(links, traces.Link{TraceID: r.TraceID, SpanID: r.SpanID, Stall: r.Tree.Stall})
		}
	}
	slices.SortStableFunc(links, func(a, b traces.Link) int { return cmp.Compare(b.Stall, a.Stall) })
	return links
}
