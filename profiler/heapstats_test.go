package profiler

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Over all ways to choose blocks the estimate is right on average, and off by its standard error.
func TestEstimateFromBlocks(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	const all, observed, rounds = 200, 20, 4000
	blocks := make([]float64, all)
	truth := 0.0
	for i := range blocks {
		if rnd.IntN(3) > 0 {
			blocks[i] = float64(rnd.IntN(heapBlock))
		}
		truth += blocks[i]
	}
	var sum, squares, variance float64
	for range rounds {
		var found spread
		for _, i := range rnd.Perm(all)[:observed] {
			if blocks[i] > 0 {
				found.add(blocks[i] * all / observed)
			}
		}
		total, stderr := found.sum, found.error(SamplingStep{Blocks: all, Sampled: observed})
		sum += total
		squares += (total - truth) * (total - truth)
		variance += stderr * stderr
	}
	if off := math.Abs(sum/rounds/truth - 1); off > 0.01 {
		t.Errorf("the mean of the estimates is off by %.3f", off)
	}
	if r := math.Sqrt(variance / squares); r < 0.95 || r > 1.05 {
		t.Errorf("the standard error stated is %.3f of the one found", r)
	}
	for _, c := range []struct {
		found         []float64 // scaled
		observed, all int
		stderr        float64
	}{
		{nil, 1, 5, 0},
		{[]float64{35}, 1, 5, 35}, // nothing is known of how much blocks differ
		{[]float64{7, 9}, 3, 3, 0},
		{nil, 3, 9, 0},
	} {
		var found spread
		for _, v := range c.found {
			found.add(v)
		}
		if stderr := found.error(SamplingStep{Blocks: c.all, Sampled: c.observed}); stderr != c.stderr {
			t.Errorf("%v of %d of %d: ± %v, want ± %v", c.found, c.observed, c.all, stderr, c.stderr)
		}
	}
}

// Which blocks are chosen depends on nothing but their number, and is even.
func TestChosenBlocks(t *testing.T) {
	for _, share := range []float64{1, 0.5, 1.0 / 16} {
		n := 0
		const all = 1 << 16
		for b := range uintptr(all) {
			if chosen(0xc000000000/heapBlock+b, share) {
				n++
			}
		}
		if d := math.Abs(float64(n) - share*all); d > 4*math.Sqrt(share*(1-share)*all) {
			t.Errorf("share %v: %d of %d", share, n, all)
		}
	}
}

// A sample that goes on over more blocks keeps what its blocks have shown; one that loses blocks keeps its error too.
func TestErrorsOfStepsWithTheSameLimit(t *testing.T) {
	of := func(steps ...SamplingStep) Scaled {
		r := &RegionStats{Granule: 4096, Size: 1 << 30}
		for i, s := range steps {
			s.limit, s.BlockBytes = someBlocks, heapBlock
			r.step(chooser{shift: 21}, s)
			if i == 0 {
				for block := range int64(3) { // 1, 2 and 3 faults, each for ten
					for range block + 1 {
						r.sampled.add(&Fault{Offset: block * heapBlock, Weight: 10, Stall: 1}, 4096)
					}
				}
			}
		}
		return r.sampled.sumError(r.now())
	}
	first := SamplingStep{Blocks: 1000, Sampled: 100}
	before := of(first)
	if before.Faults <= 0 {
		t.Fatalf("%+v", before)
	}
	for _, later := range []SamplingStep{{Blocks: 1010, Sampled: 101}, {Blocks: 100, Sampled: 2}, {Blocks: 0, Sampled: 0}} {
		if after := of(first, later); after.Faults < before.Faults*0.99 || after.Faults > before.Faults*1.01 {
			t.Errorf("the error of the faults was %v, and is %v after a step to %+v", before.Faults, after.Faults, later)
		}
	}
}
