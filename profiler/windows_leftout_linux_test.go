//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// Of memory of which no part can be left out a share of the windows is observed: those show what was touched, the
// others say why they are not known, and cost nothing where everything was touched before. At a share of nothing
// there are none, and at all of it all.
func TestWindowsLeftOut(t *testing.T) {
	const pages, windows, share = 256, 100, 0.25
	for _, k := range []struct {
		name  string
		flags int
		opts  []RegionOption
	}{
		{"shared", unix.MAP_SHARED, nil},
		{"writes of private memory", unix.MAP_PRIVATE, []RegionOption{WithWritesOnly()}},
	} {
		t.Run(k.name, func(t *testing.T) {
			p := newProfiler(t, WithStacks(StacksNone()))
			memory := mapKind(t, -1, pages*pageSize, k.flags|unix.MAP_ANONYMOUS)
			clear(memory)
			r := attachMemory(t, p, memory, k.opts...)
			w := p.NewWindows(r)
			defer w.Close()
			pass := func(touched int) RegionWindow {
				for i := range touched {
					page(memory, i)[0]++
				}
				got, err := w.Next()
				if err != nil {
					t.Fatal(err)
				}
				return got[0]
			}
			pass(pages) // everything is touched once
			must(t, p.SetSampling(share))
			pass(pages) // was begun before
			known, faults := 0, uint64(0)
			for i := range windows {
				n := 1 + i%pages
				before := p.Snapshot().Stats.Faults
				got := pass(n)
				made := p.Snapshot().Stats.Faults - before
				switch {
				case got.Err == nil:
					known++
					if got.Touched != int64(n*pageSize) || made != uint64(n) {
						t.Errorf("window %d: %d bytes touched and %d faults, want %d pages", i, got.Touched, made, n)
					}
				case !errors.Is(got.Err, ErrLeftOut):
					t.Errorf("window %d: %v", i, got.Err)
				default:
					faults += made
				}
			}
			// The standard deviation is 4.3.
			if known < windows*share-18 || known > windows*share+18 {
				t.Errorf("%d of %d windows are known at a share of %v", known, windows, share)
			}
			// What was not touched in the last known window is armed still, and each window touches a page more.
			if faults > windows {
				t.Errorf("%d faults in windows that were left out, want one in each at most", faults)
			}
			must(t, p.SetSampling(0))
			pass(pages)
			for range 20 {
				if got := pass(pages); !errors.Is(got.Err, ErrLeftOut) {
					t.Errorf("in a pause: %v", got.Err)
				}
			}
			must(t, p.SetSampling(1))
			pass(pages)
			for range 3 {
				if got := pass(7); got.Err != nil || got.Touched != 7*int64(pageSize) {
					t.Errorf("observed again: %d bytes, %v", got.Touched, got.Err)
				}
			}
		})
	}
}
