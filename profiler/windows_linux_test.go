//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// Known sets of pages, touched window by window in an arena and in a file: every size is what counting
// the sets gives.
func TestWindowsTellTheWorkingSet(t *testing.T) {
	const pages, windows = 300, 20
	p := newProfiler(t)
	arena := newArena(t, p, "arena", pages*pageSize)
	copy(arena.Bytes(), contents(pages*pageSize))
	file, err := p.MapFile(newFile(t, pages*pageSize))
	if err != nil {
		t.Fatal(err)
	}
	rearm(t, arena) // or skip
	w, err := p.NewWindows(1, arena, file)
	if err != nil {
		t.Fatal(err)
	}
	regions := []*Region{arena, file}
	ever := [2]map[int]bool{{}, {}}
	total := [2]int{}
	rnd := rand.New(rand.NewPCG(4, 4))
	for n := range windows {
		var touched, fresh [2]int
		for i, r := range regions {
			for _, k := range rnd.Perm(pages)[:rnd.IntN(pages/2)] {
				wordAt(t, r.Bytes(), k*pageSize+16)
				touched[i]++
				if !ever[i][k] {
					ever[i][k] = true
					fresh[i]++
				}
			}
			total[i] += touched[i]
		}
		got, err := w.Next()
		if err != nil {
			t.Fatal(err)
		}
		page := int64(pageSize)
		for i, r := range regions {
			want := RegionWindow{
				Region: r.ID(), Start: got[i].Start, End: got[i].End,
				Touched: int64(touched[i]) * page, New: int64(fresh[i]) * page, Reused: int64(touched[i]-fresh[i]) * page,
				Mapped: pages * page, Never: int64(pages-len(ever[i])) * page, Idle30s: -1, Idle2m: -1, Idle10m: -1, Share: 1,
			}
			if got[i] != want || got[i].End <= got[i].Start {
				t.Errorf("window %d of %s: %+v, want %+v", n, r.Name(), got[i], want)
			}
		}
	}
	for i, r := range regions {
		c, errs := w.Curve(r.ID())
		if len(c) != windows || c[windows-1] != float64(len(ever[i])) || c[0] != float64(total[i])/windows {
			t.Errorf("%s: curve %v, want it from %d/%d to %d", r.Name(), c, total[i], windows, len(ever[i]))
		}
		if slices.Max(errs) != 0 {
			t.Errorf("%s: errors %v of a curve of everything", r.Name(), errs)
		}
		// A cache of all pages misses each page once.
		if m := w.MissRatio(r.ID(), []float64{pages}); len(m) != 1 || m[0].Miss != float64(len(ever[i]))/float64(total[i]) {
			t.Errorf("%s: miss ratio %+v, want %d/%d", r.Name(), m, len(ever[i]), total[i])
		}
	}
}

// A region that cannot be armed says so in place of sizes.
func TestWindowsOfWhatCannotBeArmed(t *testing.T) {
	p := newProfiler(t)
	arena := newArena(t, p, "arena", pageSize)
	w, err := p.NewWindows(0.5, arena)
	if err != nil {
		t.Fatal(err)
	}
	if err := arena.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Next(); !errors.Is(err, ErrClosed) {
		t.Errorf("the next window: %v", err)
	}
	if got, _ := w.Next(); !errors.Is(got[0].Err, ErrClosed) || got[0].Touched != 0 {
		t.Errorf("%+v", got)
	}
	for _, sample := range []float64{0, 2} {
		if _, err := p.NewWindows(sample, arena); !errors.Is(err, ErrInvalid) {
			t.Errorf("sample %v: %v", sample, err)
		}
	}
	if _, err := p.NewWindows(1); !errors.Is(err, ErrInvalid) {
		t.Errorf("no region: %v", err)
	}
}
