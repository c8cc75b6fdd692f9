//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"math"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// Of regions of which a share is observed, and less of it from the third window on, windows estimate what
// was touched, new, reused and never touched without bias, the curve of the working set too, and their errors
// are what they say.
func TestSampledWindows(t *testing.T) {
	const pages = 1536
	runs := testproc.Times(30, 60)
	p := newProfiler(t, WithStacks(StacksNone()), WithLogLimit(1<<22), withSamplingSeed(3))
	sets := [][]int{pattern(1, pages), pattern(2, pages), pattern(3, pages)}
	var touched, fresh, again, never [3]estimates
	var curve [3]estimates
	var miss estimates
	wanted := countWindows(sets, pages)
	for run := range runs {
		if err := p.SetSampling(0.5); err != nil {
			t.Fatal(err)
		}
		r := newArena(t, p, fmt.Sprint("run ", run), pages*pageSize)
		copy(r.Bytes(), contents(pages*pageSize))
		rearm(t, r) // or skip
		w := p.NewWindows(r)
		for n, set := range sets {
			for i, k := range set {
				if n == 2 && i == len(set)/2 {
					if err := r.SetSampling(0.25); err != nil {
						t.Fatal(err)
					}
				}
				wordAt(t, r.Bytes(), k*pageSize+16)
			}
			got, err := w.Next()
			if err != nil || got[0].Err != nil {
				t.Fatal(err, got[0].Err)
			}
			g, want := got[0], wanted[n]
			if share := []float64{0.5, 0.5, 0.25}[n]; math.Abs(g.Share-share) > 0.01 {
				t.Errorf("window %d: share %v, want %v", n, g.Share, share)
			}
			touched[n].add(float64(g.Touched), float64(g.Errors.Touched), float64(want.Touched))
			fresh[n].add(float64(g.New), float64(g.Errors.New), float64(want.New))
			again[n].add(float64(g.Reused), float64(g.Errors.Reused), float64(want.Reused))
			never[n].add(float64(g.Never), float64(g.Errors.Never), float64(want.Never))
		}
		ws := w.WorkingSets()[0]
		for n, windows := range []int{1, 2, 3} {
			curve[n].add(float64(ws.Curve[n].Bytes), float64(ws.Curve[n].Error), float64(pageSize)*curveOf(sets, windows))
		}
		m := ws.Misses[len(ws.Misses)-1] // of a cache for everything, which only first touches miss
		miss.add(m.Miss, m.Error, missOf(sets))
		w.Close()
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for n := range sets {
		touched[n].check(t, fmt.Sprint("touched in window ", n), float64(wanted[n].Touched))
		fresh[n].check(t, fmt.Sprint("new in window ", n), float64(wanted[n].New))
		never[n].check(t, fmt.Sprint("never until window ", n), float64(wanted[n].Never))
		if n > 0 {
			again[n].check(t, fmt.Sprint("reused in window ", n), float64(wanted[n].Reused))
		}
		curve[n].check(t, fmt.Sprintf("%d windows in a row", n+1), float64(pageSize)*curveOf(sets, n+1))
	}
	miss.check(t, "miss ratio", missOf(sets))
}

// countWindows counts what windows have to show.
func countWindows(sets [][]int, pages int) (out []RegionWindow) {
	ever := make(map[int]bool)
	for _, set := range sets {
		var w RegionWindow
		for _, k := range set {
			w.Touched += int64(pageSize)
			if ever[k] {
				w.Reused += int64(pageSize)
			} else {
				w.New += int64(pageSize)
			}
			ever[k] = true
		}
		w.Never = int64((pages - len(ever)) * pageSize)
		out = append(out, w)
	}
	return out
}

// curveOf is the mean number of distinct pages in n sets in a row.
func curveOf(sets [][]int, n int) float64 {
	sum := 0
	for i := 0; i+n <= len(sets); i++ {
		distinct := make(map[int]bool)
		for _, set := range sets[i : i+n] {
			for _, k := range set {
				distinct[k] = true
			}
		}
		sum += len(distinct)
	}
	return float64(sum) / float64(len(sets)-n+1)
}

// missOf is the share of touches that are a page's first one.
func missOf(sets [][]int) float64 {
	all := 0
	for _, set := range sets {
		all += len(set)
	}
	return curveOf(sets, len(sets)) / float64(all)
}
