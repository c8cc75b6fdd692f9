package profiler

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A bucket's upper bound is at least the value and at most 1/16 above it, and buckets follow the
// order of values.
func TestHistogramBuckets(t *testing.T) {
	values := []time.Duration{-5, 0, 1, 15, 16, 17, 31, 32, 33, 1000, time.Hour, math.MaxInt64}
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 10000 {
		values = append(values, time.Duration(rnd.Uint64()>>(1+rnd.IntN(62))))
	}
	slices.Sort(values)
	last := uint16(0)
	for _, v := range values {
		b := bucketOf(v)
		if b < last || b >= (64-histSubBits)*histSub {
			t.Fatalf("%d falls into bucket %d, after %d of %d", v, b, last, (64-histSubBits)*histSub)
		}
		last = b
		v = max(v, 0)
		if u := upper(b); u < v || u-v > v/16 {
			t.Fatalf("%d falls into bucket %d, which ends at %d", v, b, u)
		}
	}
}

func TestHistogramQuantiles(t *testing.T) {
	var h Histogram
	var all []time.Duration
	rnd := rand.New(rand.NewPCG(2, 2))
	var sum time.Duration
	for range 5000 {
		v := time.Duration(rnd.ExpFloat64() * float64(20*time.Microsecond))
		h.add(v)
		all = append(all, v)
		sum += v
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.001, 0.5, 0.9, 0.99, 0.9999, 1} {
		want := all[max(int(math.Ceil(q*float64(len(all)))), 1)-1]
		if got := h.Quantile(q); got < want || got-want > want/16 || got > h.Max {
			t.Errorf("quantile %v is %v, want %v or at most 1/16 more", q, got, want)
		}
	}
	if h.Count != 5000 || h.Sum != sum || h.Max != all[len(all)-1] || h.Quantile(1) != h.Max {
		t.Errorf("%d values, sum %v of %v, max %v of %v", h.Count, h.Sum, sum, h.Max, all[len(all)-1])
	}
	if q := (Histogram{}).Quantile(0.5); q != 0 {
		t.Errorf("the median of nothing is %v", q)
	}
}

// The difference of two states holds what was added in between.
func TestHistogramSub(t *testing.T) {
	var h, between Histogram
	for i := range 100 {
		h.add(time.Duration(i * 1000))
	}
	old := h.clone()
	for i := range 50 {
		h.add(time.Duration(i * 700))
		between.add(time.Duration(i * 700))
	}
	d := h.sub(old)
	if d.Count != 50 || d.Sum != between.Sum || !slices.Equal(d.buckets, between.buckets) {
		t.Errorf("difference %d, %v; want %d, %v", d.Count, d.Sum, between.Count, between.Sum)
	}
	if d.Max < between.Max || d.Max-between.Max > between.Max/16 {
		t.Errorf("max %v, want %v or at most 1/16 more", d.Max, between.Max)
	}
	if old.Count != 100 || old.Quantile(1) != 99000 {
		t.Errorf("the old state changed: %d, %v", old.Count, old.Quantile(1))
	}
	if d := h.sub(Histogram{}); d.Count != h.Count || !slices.Equal(d.buckets, h.buckets) {
		t.Errorf("less nothing: %d of %d", d.Count, h.Count)
	}
	if d := h.sub(h); d.Count != 0 || d.Max != 0 || d.Sum != 0 || d.Quantile(0.5) != 0 {
		t.Errorf("less itself: %+v", d)
	}
}

func TestHistogramBucketsIteration(t *testing.T) {
	var h Histogram
	for _, v := range []time.Duration{3, 3, 7, time.Millisecond} {
		h.add(v)
	}
	var uppers []time.Duration
	var total uint64
	for u, n := range h.Buckets {
		uppers = append(uppers, u)
		total += n
	}
	if len(uppers) != 3 || uppers[0] != 3 || uppers[1] != 7 || uppers[2] < time.Millisecond || total != 4 {
		t.Errorf("buckets end at %v and hold %d", uppers, total)
	}
	for u := range h.Buckets {
		if u != 3 {
			t.Errorf("went on to %v after a break", u)
		}
		break
	}
}
