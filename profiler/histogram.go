package profiler

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// histSub is the number of linear steps in each power of two: quantiles are at most 1/16 too high.
const (
	histSubBits = 4
	histSub     = 1 << histSubBits
	histLen     = (64 - histSubBits) * histSub
)

// Histogram counts durations in buckets whose width is at most 1/16 of their value.
// The zero value is empty. It is a value: copies are independent.
type Histogram struct {
	Count uint64
	Sum   time.Duration
	Max   time.Duration

	buckets []uint64 // nil, or histLen
}

func bucketOf(d time.Duration) uint16 {
	v := uint64(max(d, 0))
	if v < histSub {
		return uint16(v)
	}
	e := bits.Len64(v) - 1 - histSubBits
	return uint16(e*histSub + int(v>>e))
}

// upper is the largest duration that falls into bucket b.
func upper(b uint16) time.Duration {
	if b < 2*histSub {
		return time.Duration(b)
	}
	e := int(b)/histSub - 1
	m := uint64(int(b) - e*histSub)
	return time.Duration((m+1)<<e - 1)
}

func (h *Histogram) add(d time.Duration) {
	if h.buckets == nil {
		h.buckets = make([]uint64, histLen)
	}
	h.buckets[bucketOf(d)]++
	h.Count++
	h.Sum += d
	h.Max = max(h.Max, d)
}

func (h Histogram) clone() Histogram {
	h.buckets = slices.Clone(h.buckets)
	return h
}

// sub removes an earlier state of the same histogram. The maximum of a difference is only known to
// be no higher than the later one's, and than its highest bucket allows.
func (h Histogram) sub(old Histogram) Histogram {
	d := h.clone()
	d.Count -= old.Count
	d.Sum -= old.Sum
	top := uint16(0)
	for b := range d.buckets {
		if old.buckets != nil {
			d.buckets[b] -= old.buckets[b]
		}
		if d.buckets[b] > 0 {
			top = uint16(b)
		}
	}
	d.Max = 0
	if d.Count > 0 {
		d.Max = min(h.Max, upper(top))
	}
	return d
}

// Quantile returns an upper bound of the q-quantile (0 to 1), at most 1/16 too high and
// never above Max. 0 for an empty histogram.
func (h Histogram) Quantile(q float64) time.Duration {
	if h.Count == 0 || h.buckets == nil {
		return 0
	}
	want := max(uint64(math.Ceil(q*float64(h.Count))), 1) // the nearest rank
	var seen uint64
	for b, n := range h.buckets {
		if seen += n; seen >= want {
			return min(upper(uint16(b)), h.Max)
		}
	}
	return h.Max
}

// Buckets calls yield for every non-empty bucket, ascending, with its largest duration.
func (h Histogram) Buckets(yield func(upper time.Duration, count uint64) bool) {
	for b, n := range h.buckets {
		if n > 0 && !yield(upper(uint16(b)), n) {
			return
		}
	}
}
