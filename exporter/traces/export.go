package traces

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// export makes the bursts of one span.
func (p *Processor) export(j *job) {
	faults := j.Faults()
	unseen := j.faults - min(j.faults, uint64(len(faults)))
	slow := p.slowest(faults)
	parent := trace.ContextWithSpanContext(context.Background(), j.parent)
	line := timeline{j.start, j.end}
	for _, b := range bursts(faults, unseen) {
		start, end := line.start, line.clamp(line.end) // when faults without a record were is not known
		// From here on durations alone count, so that what is within the burst stays there.
		within := func(t time.Duration) time.Time { return line.clamp(start.Add(t - b.start)) }
		if len(b.faults) > 0 {
			start = line.at(p.clock, b.start)
			end = within(b.end)
		}
		_, s := j.tracer.Start(parent, exporter.SpanBurst, trace.WithTimestamp(start),
			trace.WithSpanKind(trace.SpanKindInternal), trace.WithAttributes(p.describe(&b)...))
		for i := range b.faults {
			if f := &b.faults[i]; slow[f.Seq] {
				s.AddEvent(exporter.EventSlowFault, trace.WithTimestamp(within(f.Time)), trace.WithAttributes(p.describeFault(f)...))
			}
		}
		s.End(trace.WithTimestamp(end))
	}
}

// eventsMost bounds the events of one span's bursts.
const eventsMost = 8

// slowest chooses the faults that have an event of their own, by Seq.
func (p *Processor) slowest(faults []profiler.Fault) map[uint64]bool {
	if p.config.event == 0 {
		return nil
	}
	var slow []profiler.Fault
	for _, f := range faults {
		if f.Stall >= p.config.event {
			slow = append(slow, f)
		}
	}
	slices.SortStableFunc(slow, func(a, b profiler.Fault) int { return cmp.Compare(b.Stall, a.Stall) })
	chosen := make(map[uint64]bool)
	for _, f := range slow[:min(len(slow), eventsMost)] {
		chosen[f.Seq] = true
	}
	return chosen
}

func (p *Processor) describeFault(f *profiler.Fault) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		attribute.String(exporter.AttrRegion, p.src.RegionName(f.Region)),
		attribute.Int64(exporter.AttrOffset, f.Offset),
		attribute.Float64(exporter.AttrStall, f.Stall.Seconds()),
		attribute.String(exporter.AttrAccess, f.Access.String()),
		attribute.String(exporter.AttrSource, f.Source.String()),
	}
	if f.Goroutine != 0 {
		attrs = append(attrs, attribute.Int64(exporter.AttrGoroutine, int64(f.Goroutine)))
	}
	return append(attrs, p.caller([]profiler.Fault{*f})...)
}
