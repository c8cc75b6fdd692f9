//go:build linux && (amd64 || arm64)

package profiler

import (
	"sync"
	"testing"
)

// Goroutines that Go preempts while they wait for a page, and whose threads then run others, are told
// apart, but for those that are preempted in the moment between the reading of their fault and the look
// at their thread.
func TestGoroutinesUnderPreemption(t *testing.T) {
	aside(t)
	inChild(t, "TestGoroutinesUnderPreemption", "all", []string{"GOGC=1", "GOMAXPROCS=8"}, func(t *testing.T) {
		const goroutines, pages = 16, 40000
		p := newProfiler(t)
		collected := collecting(t)
		a := newArena(t, p, "arena", pages*pageSize)
		var ids [goroutines]uint64
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				ids[g] = goroutineID()
				for i := g; i < pages; i += goroutines {
					a.Bytes()[i*pageSize]++
				}
			})
		}
		wg.Wait()
		s := p.Snapshot()
		checkSums(t, s)
		if len(s.Faults) != pages {
			t.Fatalf("%d faults, want %d", len(s.Faults), pages)
		}
		wrong, unknown := 0, 0
		for _, f := range s.Faults {
			switch f.Goroutine {
			case ids[int(f.Offset)/pageSize%goroutines]:
			case 0:
				unknown++
			default:
				wrong++
			}
		}
		t.Logf("%d of %d faults were taken for another goroutine's, %d for nobody's; %d collections", wrong, pages, unknown, collected.Load())
		// A resolver that reads several faults at once is wrong about one in a hundred.
		if wrong > pages/250 || unknown > pages/250 {
			t.Errorf("%d of %d faults are another goroutine's, %d nobody's", wrong, pages, unknown)
		}
	})
}

// The first fault of each 1,024 granules takes the engine long, which meets the memory of their states for the first
// time: long enough for Go to preempt the goroutine between the reading of its fault and the signal for its stack.
// Such a claim is taken back.
func TestSlowClaimsUnderPreemption(t *testing.T) {
	aside(t)
	inChild(t, "TestSlowClaimsUnderPreemption", "all", []string{"GOGC=1", "GOMAXPROCS=2"}, func(t *testing.T) {
		const touches, stride = 4096, 1024
		p := newProfiler(t)
		collected := collecting(t)
		a := newArena(t, p, "arena", touches*stride*pageSize)
		for i := range touches {
			a.Bytes()[i*stride*pageSize]++
		}
		s := p.Snapshot()
		checkSums(t, s)
		if len(s.Faults) != touches || s.Stats.Stacks+s.Stats.StacksMissed != touches {
			t.Fatalf("%d faults, want %d: %+v", len(s.Faults), touches, s.Stats)
		}
		t.Logf("%d of %d stacks missed, %d collections", s.Stats.StacksMissed, touches, collected.Load())
		// With the claims left standing it is one in thirty, one for each collection.
		if s.Stats.StacksMissed > touches/100 {
			t.Errorf("%d of %d stacks missed", s.Stats.StacksMissed, touches)
		}
	})
}
