package workingset

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestTracker(t *testing.T) {
	var tr Tracker
	second := time.Second
	for i, c := range []struct {
		touched []uint64
		want    Stats
		idle    int // for 20 s
		known   bool
	}{
		{[]uint64{1, 2, 3}, Stats{3, 3, 0, 3, 7}, 0, false},
		{[]uint64{3, 4}, Stats{2, 1, 1, 4, 6}, 0, true},
		{nil, Stats{0, 0, 0, 4, 6}, 2, true},
		{[]uint64{1, 1, 9}, Stats{2, 1, 1, 5, 5}, 3, true},
	} {
		w := Window{Start: time.Duration(10*i) * second, End: time.Duration(10*i+10) * second, Touched: c.touched}
		got, err := tr.Add(w, 10)
		if err != nil || got != c.want {
			t.Errorf("window %d: %+v, %v, want %+v", i, got, err, c.want)
		}
		idle := 0
		for _, at := range tr.Each {
			if at <= w.End-20*second {
				idle++
			}
		}
		if known := tr.Covers(20 * second); known != c.known || known && idle != c.idle {
			t.Errorf("window %d: %d idle, %v, want %d, %v", i, idle, known, c.idle, c.known)
		}
	}
	if _, err := tr.Add(Window{Start: 39 * second, End: 50 * second}, 10); err == nil {
		t.Error("a window that overlaps the last one was taken")
	}
}

// The curve equals what counting gives.
func TestCurveAgainstCounting(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var windows []Window
	for range 30 {
		w := Window{}
		for g := range uint64(50) {
			if rnd.IntN(int(g)+2) == 0 {
				w.Touched = append(w.Touched, g)
			}
		}
		windows = append(windows, w)
	}
	c := NewCurve(windows, 100)
	if len(c) != len(windows) {
		t.Fatalf("%d points of %d windows", len(c), len(windows))
	}
	for n := 1; n <= len(windows); n++ {
		sum, runs := 0, 0
		for i := 0; i+n <= len(windows); i++ {
			set := map[uint64]bool{}
			for _, w := range windows[i : i+n] {
				for _, g := range w.Touched {
					set[g] = true
				}
			}
			sum += len(set)
			runs++
		}
		if want := float64(sum) / float64(runs); math.Abs(c[n-1]-want) > 1e-9 {
			t.Errorf("%d windows: %v, want %v", n, c[n-1], want)
		}
	}
}

// zipf is a trace whose granules differ in how often they are touched.
func zipf(seed uint64, touches, granules int) []uint64 {
	rnd := rand.New(rand.NewPCG(seed, 3))
	z := rand.NewZipf(rnd, 1.1, 20, uint64(granules-1))
	trace := make([]uint64, touches)
	for i := range trace {
		trace[i] = z.Uint64()
	}
	return trace
}

// exactMisses simulates the cache.
func exactMisses(trace []uint64, size int) float64 {
	var lru []uint64 // most recent last
	misses := 0
	for _, g := range trace {
		if i := slices.Index(lru, g); i >= 0 {
			lru = slices.Delete(lru, i, i+1)
		} else if misses++; len(lru) == size {
			lru = slices.Delete(lru, 0, 1)
		}
		lru = append(lru, g)
	}
	return float64(misses) / float64(len(trace))
}

// At a rate of 1 the curve is that of a cache.
func TestMissRatioIsThatOfACache(t *testing.T) {
	trace := zipf(1, 5000, 400)
	r, err := NewReuse(1)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range trace {
		r.Touch(g)
	}
	sizes := []float64{1, 2, 10, 50, 100, 399, 1000}
	for i, p := range r.MissRatio(sizes) {
		if want := exactMisses(trace, int(sizes[i])); math.Abs(p.Miss-want) > 1e-9 || p.Error != 0 {
			t.Errorf("size %v: %+v, want %v", sizes[i], p, want)
		}
	}
}

// Over many traces the sampled curve has no bias to speak of where many sampled granules fit into the
// cache, and lies within three of its errors nearly always.
func TestSampledMissRatio(t *testing.T) {
	const runs, granules, rate = 60, 4000, 0.2
	sizes := []float64{500, 1000, 2000}
	bias := make([]float64, len(sizes))
	within, all := 0, 0
	for run := range uint64(runs) {
		trace := zipf(run, 20000, granules)
		exact, _ := NewReuse(1)
		sampled, err := NewReuse(rate)
		if err != nil {
			t.Fatal(err)
		}
		// Other numbers for the same granules in each run: another sample.
		for _, g := range trace {
			exact.Touch(g)
			sampled.Touch(g + run<<32)
		}
		want := exact.MissRatio(sizes)
		for i, p := range sampled.MissRatio(sizes) {
			d := p.Miss - want[i].Miss
			bias[i] += d / runs
			all++
			if math.Abs(d) <= 3*p.Error {
				within++
			}
		}
	}
	for i, b := range bias {
		if math.Abs(b) > 0.01 {
			t.Errorf("size %v: the mean of %d runs is off by %.4f", sizes[i], runs, b)
		}
	}
	if within < all*95/100 {
		t.Errorf("%d of %d within three errors", within, all)
	}
}

// A sample of blocks whose granules are alike: each block is used as often as others are not, and one granule at a time
// or all of them in a row. The errors hold for all sizes; where uses of blocks are mixed well they are too large for small
// sizes, since they take the granules of a block as touched together.
func TestMissRatioOfBlocks(t *testing.T) {
	const runs, blocks, each = 80, 256, 16
	sizes := []float64{64, 256, 1024, 4096}
	for _, c := range []struct {
		shown, rate float64
		row         bool
	}{{0.25, 1, false}, {0.25, 0.5, false}, {0.25, 1, true}, {0.25, 0.5, true}} {
		bias, off, stated := make([]float64, len(sizes)), make([]float64, len(sizes)), make([]float64, len(sizes))
		within, all := 0, 0
		for run := range uint64(runs) {
			rnd := rand.New(rand.NewPCG(run, 9))
			var trace []uint64
			var uses []uint64 // of blocks
			for b := range uint64(blocks) {
				for range []int{1, 1, 4, 16}[rnd.IntN(4)] {
					uses = append(uses, b)
				}
			}
			rnd.Shuffle(len(uses), func(i, j int) { uses[i], uses[j] = uses[j], uses[i] })
			for _, b := range uses {
				for g := range uint64(each) {
					trace = append(trace, b*each+g)
				}
			}
			if !c.row {
				rnd.Shuffle(len(trace), func(i, j int) { trace[i], trace[j] = trace[j], trace[i] })
			}
			kept := make(map[uint64]bool)
			for _, b := range rnd.Perm(blocks)[:int(blocks*c.shown)] {
				kept[uint64(b)] = true
			}
			block := func(g uint64) uint64 { return g &^ (run << 32) / each }
			exact, _ := NewReuse(1)
			sampled, err := NewReuse(c.rate)
			if err != nil {
				t.Fatal(err)
			}
			sampled.Shown(c.shown, func(g uint64) bool { return kept[block(g)] }, block)
			for _, g := range trace {
				exact.Touch(g)
				if kept[g/each] {
					sampled.Touch(g + run<<32)
				}
			}
			want := exact.MissRatio(sizes)
			for i, p := range sampled.MissRatio(sizes) {
				d := p.Miss - want[i].Miss
				bias[i] += d / runs
				off[i] += d * d / runs
				stated[i] += p.Error * p.Error / runs
				all++
				if math.Abs(d) <= 3*p.Error {
					within++
				}
			}
		}
		for i, b := range bias {
			if ratio := math.Sqrt(stated[i] / off[i]); math.Abs(b) > 0.02 || ratio < 0.7 || ratio > 10 {
				t.Errorf("%+v, size %v: the mean is off by %.4f, the stated error is %.2f of the one found (%.4f)", c, sizes[i], b, ratio, math.Sqrt(off[i]))
			}
		}
		if within < all*95/100 {
			t.Errorf("%+v: %d of %d within three errors", c, within, all)
		}
	}
}

func TestRateIsChecked(t *testing.T) {
	for _, rate := range []float64{0, -1, 1.1, math.NaN()} {
		if _, err := NewReuse(rate); err == nil {
			t.Errorf("rate %v was taken", rate)
		}
	}
	r, _ := NewReuse(0.5)
	if p := r.MissRatio([]float64{1}); p != nil {
		t.Errorf("%v before the first touch", p)
	}
}
