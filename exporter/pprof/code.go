package pprof

import (
	"encoding/hex"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

// ByCode returns the profile of a snapshot by code: who touched memory first, how much of it, and
// how long that took. The caller owns the result. ByCode is safe for concurrent use.
func ByCode(s *profiler.Snapshot, opts ...Option) *profile.Profile {
	c := newConfig(opts)
	b := newBuilder(s, c, "working set: who touched memory first, and how long that took")
	stacks := make(map[profiler.StackID][]*profile.Location)
	scales, round := groupScales(s), rounder{}
	for _, cell := range divide(s, c.spans) {
		at := stacks[cell.stack]
		if cell.unlogged {
			at = []*profile.Location{b.synthetic(exporter.FrameNotLogged)}
		} else if at == nil {
			at = b.stack(s.Stack(cell.stack))
			stacks[cell.stack] = at
		}
		b.sample(round.scaled(cell.value, cell.scaleOf(s, scales)), at, cell.labels(s)...)
	}
	return b.p
}

// labels are the label pairs of a cell's sample.
func (c *cell) labels(s *profiler.Snapshot) []string {
	labels := []string{exporter.LabelRegion, s.RegionOf(c.region).Name}
	if !c.unlogged {
		labels = append(labels, exporter.LabelAccess, c.access.String(), exporter.LabelSource, c.source.String())
		if s.RegionOf(c.region).Kind == profiler.KindGoHeap {
			labels = append(labels, exporter.LabelActor, c.actor.String())
		}
	}
	if c.span != 0 {
		if span, ok := s.Span(c.span); ok {
			labels = append(labels,
				exporter.LabelSpan, hex.EncodeToString(span.SpanID[:]),
				exporter.LabelTrace, hex.EncodeToString(span.TraceID[:]))
		}
	}
	return labels
}
