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
)

// Histogram counts durations in buckets whose width is at most 1/16 of their value.
// The zero value is empty. It is a value: copies are independent.
type Histogram struct {
	Count uint64
	Sum   time.Duration
	Max   time.Duration

	// The buckets from the first to the last that is not empty: few values take little memory.
	first   uint16
	buckets []uint64
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
	*h.bucket(bucketOf(d))++
	h.Count++
	h.Sum += d
	h.Max = max(h.Max, d)
}

// bucket makes room for a bucket. Who asks puts something into it.
func (h *Histogram) bucket(b uint16) *uint64 {
	if len(h.buckets) == 0 {
		h.first, h.buckets = b, make([]uint64, 1)
	}
	if end := h.first + uint16(len(h.buckets)); b < h.first || b >= end {
		first := min(b, h.first)
		grown := make([]uint64, max(b+1, end)-first)
		copy(grown[h.first-first:], h.buckets)
		h.first, h.buckets = first, grown
	}
	return &h.buckets[b-h.first]
}

func (h Histogram) clone() Histogram {
	h.buckets = slices.Clone(h.buckets)
	return h
}

// plus is the histogram of both.
func (h Histogram) plus(o Histogram) Histogram {
	h = h.clone()
	for i, n := range o.buckets {
		if n != 0 {
			*h.bucket(o.first + uint16(i)) += n
		}
	}
	h.Count, h.Sum, h.Max = h.Count+o.Count, h.Sum+o.Sum, max(h.Max, o.Max)
	return h
}

// sub removes an earlier state of the same histogram. The maximum of a difference is only known to
// be no higher than the later one's, and than its highest bucket allows.
func (h Histogram) sub(old Histogram) Histogram {
	d := Histogram{Count: h.Count - old.Count, Sum: h.Sum - old.Sum}
	for i, n := range h.buckets {
		b := h.first + uint16(i)
		if b >= old.first && int(b-old.first) < len(old.buckets) {
			n -= old.buckets[b-old.first]
		}
		if n != 0 {
			*d.bucket(b) = n
			d.Max = min(h.Max, upper(b))
		}
	}
	return d
}

// Quantile returns an upper bound of the q-quantile (0 to 1), at most 1/16 too high and
// never above Max. 0 for an empty histogram.
func (h Histogram) Quantile(q float64) time.Duration {
	if h.Count == 0 {
		return 0
	}
	want := max(uint64(math.Ceil(q*float64(h.Count))), 1) // the nearest rank
	var seen uint64
	for b, n := range h.buckets {
		if seen += n; seen >= want {
			return min(upper(h.first+uint16(b)), h.Max)
		}
	}
	return h.Max
}

// Buckets calls yield for every non-empty bucket, ascending, with its largest duration.
func (h Histogram) Buckets(yield func(upper time.Duration, count uint64) bool) {
	for b, n := range h.buckets {
		if n > 0 && !yield(upper(h.first+uint16(b)), n) {
			return
		}
	}
}
