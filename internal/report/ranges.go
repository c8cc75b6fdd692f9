package report

import "github.com/firsttouch/firsttouch/profiler"

// span is a half-open range of offsets of a region.
type span struct{ start, end int64 }

// touchedSpans lists what was touched of a region, ascending and apart.
func touchedSpans(r *profiler.RegionStats) (out []span) {
	for g := range r.Runs {
		start := int64(g.First) * int64(r.Granule)
		end := start + int64(g.Count)*int64(r.Granule)
		if r.Size > start {
			end = min(end, r.Size)
		}
		out = append(out, span{start, end})
	}
	return out
}

// overlap is the size of what two lists have in common.
func overlap(a, b []span) (size int64) {
	for len(a) > 0 && len(b) > 0 {
		if n := min(a[0].end, b[0].end) - max(a[0].start, b[0].start); n > 0 {
			size += n
		}
		if a[0].end < b[0].end {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return size
}

func sizeOf(list []span) (size int64) {
	for _, s := range list {
		size += s.end - s.start
	}
	return size
}
