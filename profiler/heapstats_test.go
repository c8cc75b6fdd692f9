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
		var found []float64
		for _, i := range rnd.Perm(all)[:observed] {
			if blocks[i] > 0 {
				found = append(found, blocks[i])
			}
		}
		total, stderr := estimate(found, observed, all)
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
		found         []float64
		observed, all int
		total, stderr float64
	}{
		{nil, 0, 5, 0, math.Inf(1)},
		{[]float64{7}, 1, 5, 35, math.Inf(1)},
		{[]float64{7, 9}, 3, 3, 16, 0},
		{nil, 3, 9, 0, 0},
	} {
		if total, stderr := estimate(c.found, c.observed, c.all); total != c.total || stderr != c.stderr {
			t.Errorf("%v of %d of %d: %v ± %v, want %v ± %v", c.found, c.observed, c.all, total, stderr, c.total, c.stderr)
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
