package metrics

import (
	"context"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/trace"
)

// recorder puts faults into the histograms. It has one caller at a time.
type recorder struct {
	src  Source
	ins  *instruments
	sets *sets
	runs *runs

	// What was asked of the profiler for the faults at hand: each answer costs its lock.
	spans map[profiler.SpanRef]context.Context
	sizes map[profiler.RegionID]int64
}

func newRecorder(src Source, n *names, ins *instruments) *recorder {
	r := &recorder{
		src: src, ins: ins, sets: newSets(n),
		spans: make(map[profiler.SpanRef]context.Context), sizes: make(map[profiler.RegionID]int64),
	}
	r.runs = newRuns(func(region profiler.RegionID, faults int64) {
		ins.burstSize.Record(context.Background(), faults, r.sets.region(region)...)
	})
	return r
}

// record takes faults in claim order.
func (r *recorder) record(faults []profiler.Fault) {
	clear(r.spans)
	clear(r.sizes)
	for i := range faults {
		f := &faults[i]
		ctx := r.context(f.Span)
		r.ins.faultStall.Record(ctx, f.Stall.Seconds(), r.sets.stall(f.Region, f.Source)...)
		r.ins.position.Record(ctx, position(f.Offset, r.size(f.Region)), r.sets.region(f.Region)...)
		r.runs.add(f)
	}
}

// context carries the span that a fault counts for, as if the measurement were made within it.
func (r *recorder) context(ref profiler.SpanRef) context.Context {
	if ref == 0 {
		return context.Background()
	}
	ctx, ok := r.spans[ref]
	if !ok {
		ctx = context.Background()
		// A trace that is not kept is not linked to.
		if s, ok := r.src.Span(ref); ok && !s.Unsampled {
			ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
				TraceID: s.TraceID, SpanID: s.SpanID, TraceFlags: trace.FlagsSampled,
			}))
		}
		r.spans[ref] = ctx
	}
	return ctx
}

func (r *recorder) size(id profiler.RegionID) int64 {
	size, ok := r.sizes[id]
	if !ok {
		size = r.src.RegionSize(id)
		r.sizes[id] = size
	}
	return size
}

// position is the middle of the byte at offset as a share of size: never a slice's bound, so that the
// first byte of a slice does not count for the one before it, whose upper bound is inclusive.
func position(offset, size int64) float64 {
	if size <= 0 {
		return 0
	}
	return min((float64(offset)+0.5)/float64(size), 1)
}

// settle counts the runs that are over at a moment on the faults' clock.
func (r *recorder) settle(now time.Duration) { r.runs.closeBefore(now) }
