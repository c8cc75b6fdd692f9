package traces

import (
	"context"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Link is a request that a window's span leads to.
type Link struct {
	TraceID trace.TraceID
	SpanID  trace.SpanID
	Stall   time.Duration // that it waited
}

// linksMost bounds the links of one window.
const linksMost = 8

// Window makes a span working_set.window of a window of a region, a root of its own with links to requests in it,
// of which the first 8 count. It takes the way of the bursts, see SetTracerProvider.
func (p *Processor) Window(w profiler.RegionWindow, links []Link) {
	if w.Err != nil || p.isClosed() {
		return
	}
	opts := []trace.SpanStartOption{trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindInternal), trace.WithTimestamp(p.clock.wall(w.Start)),
		trace.WithAttributes(
			attribute.String(exporter.AttrRegion, p.src.RegionName(w.Region)),
			attribute.Int64(exporter.AttrTouched, w.Touched),
			attribute.Int64(exporter.AttrNew, w.New),
			attribute.Int64(exporter.AttrReused, w.Reused),
			attribute.Int64(exporter.AttrMapped, w.Mapped),
			attribute.Int64(exporter.AttrNever, w.Never),
			attribute.String(exporter.AttrPhase, string(w.Phase())),
		)}
	for _, l := range links[:min(len(links), linksMost)] {
		opts = append(opts, trace.WithLinks(trace.Link{
			SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: l.TraceID, SpanID: l.SpanID, TraceFlags: trace.FlagsSampled}),
			Attributes:  []attribute.KeyValue{attribute.Float64(exporter.AttrStall, l.Stall.Seconds())},
		}))
	}
	_, s := p.tracer(otel.GetTracerProvider()).Start(context.Background(), exporter.SpanWindow, opts...)
	s.End(trace.WithTimestamp(p.clock.wall(w.End)))
}
