package traces

import (
	"slices"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// decorated is an ended span with further attributes. An ended span is read-only, so the next
// processor gets this one in its place.
type decorated struct {
	sdktrace.ReadOnlySpan
	attrs []attribute.KeyValue
}

// Attributes returns the span's own attributes and those of its faults.
func (d *decorated) Attributes() []attribute.KeyValue { return d.attrs }

func (p *Processor) decorate(s sdktrace.ReadOnlySpan, t profiler.SpanStats) sdktrace.ReadOnlySpan {
	regions := make([]string, len(t.Regions))
	for i, id := range t.Regions {
		regions[i] = p.src.RegionName(id)
	}
	// Clipped: the array behind the slice is the span's, and other processors read it too.
	return &decorated{s, append(slices.Clip(s.Attributes()),
		attribute.Int64(exporter.AttrFaults, int64(t.Faults)),
		attribute.Float64(exporter.AttrStall, t.Stall.Seconds()),
		attribute.Float64(exporter.AttrStallMax, t.Max.Seconds()),
		attribute.Int64(exporter.AttrTouched, int64(t.Bytes)),
		attribute.StringSlice(exporter.AttrRegions, regions),
		attribute.Bool(exporter.AttrSlow, t.Stall >= p.config.slow),
	)}
}
