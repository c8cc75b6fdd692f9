package traces

import (
	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/attribute"
)

// describe returns the attributes of a burst.
func (p *Processor) describe(b *burst) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		attribute.Int64(exporter.AttrFaults, int64(b.count())),
		attribute.Float64(exporter.AttrStall, b.stall.Seconds()),
	}
	if b.merged > 0 {
		attrs = append(attrs, attribute.Int(exporter.AttrMerged, b.merged))
	}
	if b.unseen > 0 {
		attrs = append(attrs, attribute.Int64(exporter.AttrUnseen, int64(b.unseen)))
	}
	if len(b.faults) == 0 {
		return attrs
	}
	v := p.look(b.faults)
	attrs = append(attrs,
		attribute.Float64(exporter.AttrStallMax, v.longest.Stall.Seconds()),
		attribute.Int64(exporter.AttrTouched, v.touched),
		attribute.String(exporter.AttrAccess, v.access),
		attribute.String(exporter.AttrSource, v.source),
	)
	if v.oneRegion {
		attrs = append(attrs,
			attribute.String(exporter.AttrRegion, p.src.RegionName(v.longest.Region)),
			attribute.Int64(exporter.AttrOffsetLow, v.low),
			attribute.Int64(exporter.AttrOffsetHigh, v.high),
		)
	}
	if v.oneGoroutine && v.longest.Goroutine != 0 {
		attrs = append(attrs, attribute.Int64(exporter.AttrGoroutine, int64(v.longest.Goroutine)))
	}
	if b.merged <= 1 {
		name, stride := pattern(b.faults, int64(p.src.Granule(v.longest.Region)))
		attrs = append(attrs, attribute.String(exporter.AttrPattern, name))
		if stride != 0 {
			attrs = append(attrs, attribute.Int64(exporter.AttrStride, stride))
		}
	}
	return append(attrs, p.caller(b.faults)...)
}

// view is what the faults of a burst have in common.
type view struct {
	longest                 *profiler.Fault
	low, high               int64
	touched                 int64 // bytes of distinct granules
	access, source          string
	oneRegion, oneGoroutine bool
}

func (p *Processor) look(faults []profiler.Fault) view {
	first := &faults[0]
	v := view{
		longest: first, low: first.Offset, high: first.Offset,
		access: first.Access.String(), source: first.Source.String(), oneRegion: true, oneGoroutine: true,
	}
	type place struct {
		region  profiler.RegionID
		granule int64
	}
	seen := make(map[place]struct{}, len(faults))
	granules := make(map[profiler.RegionID]int64) // asked for once: the profiler takes a lock
	for i := range faults {
		f := &faults[i]
		size, ok := granules[f.Region]
		if !ok {
			size = int64(p.src.Granule(f.Region))
			granules[f.Region] = size
		}
		at := place{f.Region, f.Offset / size}
		if _, ok := seen[at]; !ok {
			seen[at] = struct{}{}
			v.touched += size
		}
		if f.Stall > v.longest.Stall {
			v.longest = f
		}
		v.low, v.high = min(v.low, f.Offset), max(v.high, f.Offset)
		if f.Access != first.Access {
			v.access = exporter.Mixed
		}
		if f.Source != first.Source {
			v.source = exporter.Mixed
		}
		v.oneRegion = v.oneRegion && f.Region == first.Region
		v.oneGoroutine = v.oneGoroutine && f.Goroutine == first.Goroutine
	}
	return v
}
