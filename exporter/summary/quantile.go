package summary

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// buckets counts stalls by the largest one of their bucket.
type buckets map[time.Duration]uint64

func bucketsOf(h profiler.Histogram) buckets {
	b := make(buckets)
	for upper, n := range h.Buckets {
		b[upper] = n
	}
	return b
}

// minus leaves what is not in part, which must be a part of b.
func (b buckets) minus(part buckets) buckets {
	rest := maps.Clone(b)
	for upper, n := range part {
		if rest[upper] -= n; rest[upper] == 0 {
			delete(rest, upper)
		}
	}
	return rest
}

// quantiles are upper bounds, and none exceeds the longest stall, which is known exactly.
func (b buckets) quantiles(longest time.Duration) *Quantiles {
	var all uint64
	for _, n := range b {
		all += n
	}
	if all == 0 {
		return nil
	}
	return &Quantiles{P50: min(b.at(all, 0.50), longest), P99: min(b.at(all, 0.99), longest)}
}

// at is the upper bound of the bucket that holds quantile q of all counts.
func (b buckets) at(all uint64, q float64) time.Duration {
	want, seen := max(uint64(math.Ceil(q*float64(all))), 1), uint64(0) // the nearest rank, as profiler.Histogram has it
	var upper time.Duration
	for _, upper = range slices.Sorted(maps.Keys(b)) {
		if seen += b[upper]; seen >= want {
			break
		}
	}
	return upper
}
