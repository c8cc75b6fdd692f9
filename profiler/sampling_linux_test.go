//go:build linux && (amd64 || arm64)

package profiler

import (
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
)

// Whatever the sampling of stacks, faults, threads and goroutines are all there.
func TestStackSamplingKeepsCountsExact(t *testing.T) {
	const pages = 800
	for _, c := range []struct {
		name   string
		stacks StackSampling
		check  func(n uint64, took time.Duration) bool
	}{
		{"every fault", StacksEvery(), func(n uint64, _ time.Duration) bool { return n == 2*pages }},
		{"none", StacksNone(), func(n uint64, _ time.Duration) bool { return n == 0 }},
		{"1 in 8", StacksOneIn(8), func(n uint64, _ time.Duration) bool { return n == 2*pages/8 }},
		{"at most 5/s", StacksPerSecond(5), func(n uint64, took time.Duration) bool {
			return n >= 5 && n <= 5*uint64(took/time.Second+2)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProfiler(t, WithStacks(c.stacks))
			a := newArena(t, p, "arena", pages*pageSize)
			f, err := p.MapFile(newFile(t, pages*pageSize))
			if err != nil {
				t.Fatal(err)
			}
			crew := []*toucher{newToucher(t), newToucher(t)}
			start := engine.Now()
			var all []made
			for i := range pages {
				w := crew[i%2]
				all = append(all, w.touch(t, order{&ways[2], a, a.Bytes(), i * pageSize, i*pageSize + 8}))
				all = append(all, w.touch(t, order{&ways[0], f, f.Bytes(), i*pageSize + 8, i*pageSize + 16}))
			}
			s := p.Snapshot()
			checkSums(t, s)
			if len(s.Faults) != len(all) || s.Stats.Dropped != 0 {
				t.Fatalf("%d faults, %d dropped; want %d", len(s.Faults), s.Stats.Dropped, len(all))
			}
			stacks := uint64(0)
			for i, f := range s.Faults {
				m := &all[i]
				if f.Address != addressOf(m.memory)+uintptr(m.lo) || !m.madeBy(&f) || f.Access != m.way.access {
					t.Fatalf("fault %d is %+v, but was made by %+v", i, f, *m)
				}
				if f.Stack != 0 {
					stacks++
					m.checkStack(t, s.Frames(f.Stack))
				}
			}
			if n := s.Stats.StacksMissed; !c.check(stacks+n, engine.Now()-start) || s.Stats.Stacks != stacks || n > pages/100 {
				t.Errorf("%d stacks, %+v", stacks, s.Stats)
			}
			if s.Stats.StackSampling != c.name {
				t.Errorf("sampling %q", s.Stats.StackSampling)
			}
		})
	}
}
