package bbolttest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
)

// Every window in which the whole database is read sees the same granules, while other goroutines
// read too and the mappings are looked at all the time.
func TestWindowsWhileLookedAt(t *testing.T) {
	for _, c := range []struct {
		procs, granule int
		guard          bool
	}{
		{2, page, true},
		{8, page, false},
		{2, 64 << 10, false},
		{8, 64 << 10, true},
	} {
		t.Run(fmt.Sprintf("procs=%d,granule=%dK,guard=%v", c.procs, c.granule>>10, c.guard), func(t *testing.T) {
			if !inChild(t, []string{fmt.Sprintf("GOMAXPROCS=%d", c.procs)}) {
				return
			}
			d := openDatabase(t, 10000)
			p := start(t, profiler.WithRescan(time.Millisecond), profiler.WithGranule(c.granule))
			var opts []profiler.RegionOption
			if c.guard {
				opts = append(opts, profiler.WithGuard(d.guard))
			}
			r := attach(t, p, d.path, opts...)
			d.verify(t, "alone")
			s := p.Snapshot()
			want := slices.Sorted(s.Regions[r.ID()].TouchedGranules)
			if len(want)*c.granule < 4<<20 {
				t.Fatalf("only %d granules touched", len(want))
			}
			d.readers(t, 4)
			for window := range testproc.Times(4, 12) {
				// Between the two the readers may touch a granule: it is seen in the window before.
				rearm(t, r)
				before := p.Snapshot()
				d.verify(t, fmt.Sprint("window ", window))
				s := p.Snapshot()
				// It was not taken for lost, and covered anew.
				if now, then := s.Regions[r.ID()].Mappings, before.Regions[r.ID()].Mappings; !slices.Equal(now, then) {
					t.Fatalf("window %d: mapped as %v, then as %v", window, then, now)
				}
				if n := s.Regions[r.ID()].Widened; n != 0 {
					t.Fatalf("window %d: %d granules were opened with a neighbour, though mappings are not short", window, n)
				}
				got := slices.Sorted(s.Sub(before).Regions[r.ID()].TouchedGranules)
				early := touchedSince(s, r, before)
				if missing := without(want, got); len(without(missing, early)) > 0 {
					t.Fatalf("window %d: %d of %d granules, %v missing", window, len(got), len(want), without(missing, early))
				}
			}
		})
	}
}

// touchedSince lists the granules that were touched after the region was armed last and before a
// snapshot.
func touchedSince(s *profiler.Snapshot, r *profiler.Region, before *profiler.Snapshot) (list []int64) {
	since := s.Regions[r.ID()].Mappings[0].Since
	granule := int64(s.Regions[r.ID()].Granule)
	for _, f := range before.Faults {
		if f.Region == r.ID() && f.Time >= since {
			list = append(list, f.Offset/granule*granule)
		}
	}
	return list
}

// without returns what is in a and not in b.
func without(a, b []int64) (out []int64) {
	for _, v := range a {
		if !slices.Contains(b, v) {
			out = append(out, v)
		}
	}
	return out
}
