//go:build linux && (amd64 || arm64)

package profiler

import (
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// Windows over a share of the Go heap: they are of all of it, within the errors that they state, and divided into what
// the program and what the garbage collector touched.
func TestGoHeapWindows(t *testing.T) {
	aside(t)
	inChild(t, "TestGoHeapWindows", "all", nil, func(t *testing.T) {
		p := newProfiler(t, WithLogLimit(1<<20))
		debug.SetGCPercent(-1)
		const n, lists = 1 << 15, 64 // 2 MiB each
		var all [lists]*heapNode
		for i := range all {
			all[i] = heapList(n)
		}
		runtime.GC()
		r := attachHeap(t, p, WithHeapShare(0.5))
		h := p.Snapshot().Regions[r.ID()]
		now, wanted := r.Observed()
		if share := float64(h.Heap.Observed) / float64(h.Heap.Blocks); h.Share() != share || now != share || wanted != share || share == 1 {
			t.Fatalf("%d of %d blocks, a share of %v, %v and %v", h.Heap.Observed, h.Heap.Blocks, h.Share(), now, wanted)
		}
		w := p.NewWindows(r)
		defer w.Close()
		rnd := rand.New(rand.NewPCG(5, 5))
		rounds := testproc.Times(8, 24)
		for round := range rounds {
			collect := round%4 == 3
			k := 1 + rnd.IntN(lists-1)
			for _, i := range rnd.Perm(lists)[:k] {
				if !walkHeap(all[i], n) {
					t.Fatal("a list is not what it was")
				}
			}
			if collect {
				runtime.GC()
			}
			got, err := w.Next()
			if err != nil || len(got) != 1 || got[0].Err != nil {
				t.Fatal(got, err)
			}
			v := got[0]
			if v.Share <= 0 || v.Share >= 1 || v.Errors.Touched <= 0 || v.Mapped < lists*n*64 || v.Never < 0 {
				t.Fatalf("%+v", v)
			}
			var sum int64
			for _, a := range v.Actors {
				sum += a.Touched
			}
			if off := v.Touched - sum; off < 0 || off > int64(len(v.Actors)) { // each is rounded down
				t.Errorf("touched were %d bytes, and of all actors %d", v.Touched, sum)
			}
			program, gc := v.Actors[ActorProgram], v.Actors[ActorGC]
			// The collector marks the lists: it touches of them what the program has not.
			rest := 0
			if collect {
				rest = (lists - k) * n * 64
			}
			if off := math.Abs(float64(gc.Touched - int64(rest))); off > 4*float64(gc.Error)+4<<20 {
				t.Errorf("round %d: the collector touched %d ± %d bytes, what was left to it are %d", round, gc.Touched, gc.Error, rest)
			}
			if off := math.Abs(float64(program.Touched - int64(k*n*64))); off > 4*float64(program.Error)+4<<20 {
				t.Errorf("round %d: the program touched %d bytes, told are %d ± %d", round, k*n*64, program.Touched, program.Error)
			}
		}
		sets := w.WorkingSets()
		if len(sets) != 1 || len(sets[0].Curve) == 0 || len(sets[0].Misses) == 0 || sets[0].Sample >= 1 {
			t.Fatalf("%+v", sets)
		}
		if last := sets[0].Curve[len(sets[0].Curve)-1]; last.Error <= 0 || last.Bytes < lists*n*64/2 || last.Bytes > 4*lists*n*64 {
			t.Errorf("the curve ends with %+v", last)
		}
		closeBusy(t, r.Close)
	})
}

// A share of which nothing is known says so, with what to do.
func TestGoHeapWindowsOfNothing(t *testing.T) {
	inChild(t, "TestGoHeapWindowsOfNothing", "all", nil, func(t *testing.T) {
		p := newProfiler(t)
		r := attachHeap(t, p, WithHeapShare(1e-9))
		w := p.NewWindows(r)
		defer w.Close()
		got, err := w.Next()
		if err != nil || len(got) != 1 || got[0].Err == nil {
			t.Fatal(got, err)
		}
		t.Log(got[0].Err)
		closeBusy(t, r.Close)
	})
}
