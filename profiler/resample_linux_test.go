//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// setShare sets a share, and tries again where threads are too busy to be stopped.
func setShare(t *testing.T, r *Region, share float64) {
	t.Helper()
	if err := patiently(func() error { return r.SetSampling(share) }); err != nil {
		t.Fatal(err)
	}
}

// Whatever share is observed, changed at any time under a storm of readers and writers and garbage
// collections, the memory holds what it held, what is in the sample is seen exactly once a window, what
// is not is not seen, and at the end no trace is left.
func TestSharesChangeUnderLoad(t *testing.T) {
	aside(t)
	for _, kind := range []Kind{KindArena, KindMemory, KindAttached} {
		name := kindWord(kind)
		inChild(t, "TestSharesChangeUnderLoad", name, []string{"GOGC=1"}, func(t *testing.T) { changeShares(t, kind) })
	}
}

func changeShares(t *testing.T, kind Kind) {
	const pages = 1024
	windows := testproc.Times(8, 30)
	p := newProfiler(t, WithLogLimit(1<<22), WithStacks(StacksPerSecond(1000)))
	collecting(t)
	var r *Region
	var b []byte
	if kind == KindAttached {
		b = mapFile(t, newFile(t, pages*pageSize), pages*pageSize, 3, 1)
		r = attach(t, p, mappedPath(t, b))
	} else {
		r, b = sampledRegion(t, p, kind, "region", pages, 1)
	}
	lo, hi := addressOf(b), addressOf(b)+uintptr(len(b))
	before := lines(t, lo, hi)
	k := newTruth(r, b)
	k.storm(t, 3)
	rnd := rand.New(rand.NewPCG(21, uint64(kind)))
	for n := range windows {
		share := []float64{1, 0.5, 0.1, 0.02, 0.7}[rnd.IntN(5)]
		setShare(t, r, share)
		if n%7 == 3 {
			setShare(t, r, 0)
			k.touchAll(t, rnd)
			if err := r.Rearm(); !errors.Is(err, ErrPaused) {
				t.Errorf("armed in a pause: %v", err)
			}
			setShare(t, r, share)
		}
		rearm(t, r)
		k.sampledWindow(t, p, rnd)
	}
	k.end(t)
	s := p.Snapshot()
	checkSums(t, s)
	if st := s.Regions[r.ID()]; len(st.Sampling) < windows/3 || st.Left != 0 || s.Stats.ResolveErrs != 0 {
		t.Errorf("%d steps, %d pages left, %+v", len(st.Sampling), st.Left, s.Stats)
	}
	if kind == KindArena {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	} else {
		closeBusy(t, r.Close)
		if after := lines(t, lo, hi); kind == KindAttached && len(after) != 1 || kind == KindMemory && len(after) != len(before) {
			t.Errorf("mappings were %+v and are %+v", before, after)
		}
	}
	for i := range k.words {
		if !k.check(t, i) {
			return
		}
	}
}

// Giving back what is not in the sample any more may take several stops of the other threads; what is armed next begins at the start
// all the same.
func TestRearmAfterLongRelease(t *testing.T) {
	aside(t)
	inChildren(t, "TestRearmAfterLongRelease", "attached", nil, func(t *testing.T) {
		const pages = 1 << 14 // every other one is touched: each of the others is a piece of its own
		p := newProfiler(t, WithLogLimit(1<<22), WithStacks(StacksNone()))
		path := newFile(t, pages*pageSize)
		b := mapFile(t, path, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
		r := attach(t, p, path)
		for i := 0; i < pages; i += 2 {
			wordAt(t, b, i*pageSize)
		}
		setShare(t, r, 0.1)
		rearm(t, r)
		before := p.Snapshot()
		for i := range pages {
			wordAt(t, b, i*pageSize)
		}
		s := p.Snapshot().Sub(before)
		checkWindow(t, s)
		r.mu.Lock()
		c, limit := r.chooser, r.limit
		r.mu.Unlock()
		want := 0
		for i := range pages {
			if c.has(int64(i)*int64(pageSize), limit) {
				want++
			}
		}
		if len(s.Faults) != want || want == 0 {
			t.Errorf("%d faults, want %d", len(s.Faults), want)
		}
		closeBusy(t, r.Close)
	})
}

func mappedPath(t *testing.T, b []byte) string {
	t.Helper()
	for _, m := range lines(t, addressOf(b), addressOf(b)+1) {
		return m.path
	}
	t.Fatal("not mapped")
	return ""
}

// touchAll reads the upper half.
func (k *truth) touchAll(t *testing.T, rnd *rand.Rand) {
	for _, i := range rnd.Perm(len(k.words) - k.half) {
		k.check(t, k.half+i)
	}
}

// sampledWindow touches some pages of the upper half, and wants exactly those that are in the sample.
func (k *truth) sampledWindow(t *testing.T, p *Profiler, rnd *rand.Rand) {
	t.Helper()
	set := rnd.Perm(len(k.words) - k.half)[:200]
	before := p.Snapshot()
	for _, i := range set {
		k.check(t, k.half+i)
		if rnd.IntN(2) == 0 {
			k.write(k.half+i, rnd.Uint64())
		}
	}
	s := p.Snapshot().Sub(before)
	checkWindow(t, s)
	r := k.region
	r.mu.Lock()
	c, limit := r.chooser, r.limit
	r.mu.Unlock()
	var want, got []int
	for _, i := range set {
		if c.has(int64(k.half+i)*int64(pageSize), limit) {
			want = append(want, i)
		}
	}
	for _, f := range s.Faults {
		if i := int(f.Offset)/pageSize - k.half; i >= 0 {
			got = append(got, i)
			if step := s.Regions[r.ID()].Sampling; len(step) > 0 && f.Weight != 1/step[len(step)-1].Share() {
				t.Errorf("weight %v at a share of %v", f.Weight, step[len(step)-1].Share())
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("%d of %d pages are in the sample, seen %d", len(want), len(set), len(got))
	}
}
