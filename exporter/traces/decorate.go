package traces

import (
	"math"
	"slices"
	"time"

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
	stats profiler.SpanStats
}

// StatsOf returns what a span waited for, for the processors behind a Processor. It is empty for spans without first touches. Where
// another processor has wrapped the span its attributes tell, in seconds, and the regions are not known.
func StatsOf(s sdktrace.ReadOnlySpan) (t profiler.SpanStats) {
	if d, ok := s.(*decorated); ok {
		return d.stats
	}
	for _, kv := range s.Attributes() {
		switch kv.Key {
		case exporter.AttrFaults:
			t.Faults = uint64(kv.Value.AsInt64())
		case exporter.AttrTouched:
			t.Bytes = uint64(kv.Value.AsInt64())
		case exporter.AttrStall:
			t.Stall = seconds(kv.Value)
		case exporter.AttrStallMax:
			t.Max = seconds(kv.Value)
		case exporter.AttrBlocked:
			t.Blocked = seconds(kv.Value)
		}
	}
	return t
}

func seconds(v attribute.Value) time.Duration {
	return time.Duration(math.Round(v.AsFloat64() * float64(time.Second)))
}

// Attributes returns the span's own attributes and those of its faults.
func (d *decorated) Attributes() []attribute.KeyValue { return d.attrs }

// decorateBlocked tells of a span without first touches that it lost time to those of others.
func decorateBlocked(s sdktrace.ReadOnlySpan, t profiler.SpanStats) sdktrace.ReadOnlySpan {
	if t.Blocked == 0 {
		return s
	}
	return &decorated{ReadOnlySpan: s, stats: t, attrs: append(slices.Clip(s.Attributes()), blockedOf(t)...)}
}

// blockedOf is absent where the span lost no time so.
func blockedOf(t profiler.SpanStats) []attribute.KeyValue {
	if t.Blocked == 0 {
		return nil
	}
	return []attribute.KeyValue{attribute.Float64(exporter.AttrBlocked, t.Blocked.Seconds())}
}

func (p *Processor) decorate(s sdktrace.ReadOnlySpan, t profiler.SpanStats) sdktrace.ReadOnlySpan {
	regions := make([]string, len(t.Regions))
	for i, id := range t.Regions {
		regions[i] = p.src.RegionName(id)
	}
	// Clipped: the array behind the slice is the span's, and other processors read it too.
	return &decorated{ReadOnlySpan: s, stats: t, attrs: append(append(slices.Clip(s.Attributes()), blockedOf(t)...),
		attribute.Int64(exporter.AttrFaults, int64(t.Faults)),
		attribute.Float64(exporter.AttrStall, t.Stall.Seconds()),
		attribute.Float64(exporter.AttrStallMax, t.Max.Seconds()),
		attribute.Int64(exporter.AttrTouched, int64(t.Bytes)),
		attribute.StringSlice(exporter.AttrRegions, regions),
		attribute.Bool(exporter.AttrSlow, t.Stall >= p.config.slow),
	)}
}
