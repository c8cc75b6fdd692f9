//go:build linux && (amd64 || arm64)

package profiler

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
)

// A fault and its stall lie within the touch, also where the toucher works on between its touches: the clock is read
// before it goes on.
func TestStallLiesWithinTheTouch(t *testing.T) {
	stallsLieWithin(t, 400, WithStacks(StacksNone()))
}

// The signal for its stack ends a toucher's wait: it may go on before it is woken, while the resolver has filled the page
// and not yet read the clock. Other threads that want the processors make that happen.
func TestStallLiesWithinTheTouchWithStacks(t *testing.T) {
	var stop atomic.Bool
	var busy sync.WaitGroup
	for range 2 * runtime.NumCPU() {
		busy.Go(func() {
			runtime.LockOSThread()
			for !stop.Load() {
			}
		})
	}
	defer busy.Wait()
	defer stop.Store(true)
	stallsLieWithin(t, 4000, WithStacks(StacksEvery()))
}

func stallsLieWithin(t *testing.T, pages int, stacks Option) {
	p := newProfiler(t, stacks)
	arena := newArena(t, p, "arena", pages*pageSize)
	type span struct{ from, to time.Duration }
	touched := make([]span, pages)
	for i := range touched {
		from := engine.Now()
		if i%2 == 0 {
			arena.Bytes()[i*pageSize] = 1
		} else {
			use(arena.Bytes()[i*pageSize])
		}
		touched[i] = span{from, engine.Now()}
		for engine.Now() < touched[i].to+100*time.Microsecond {
		}
	}
	faults := p.Snapshot().Faults
	if len(faults) != pages {
		t.Fatalf("%d faults", len(faults))
	}
	for i, f := range faults {
		if f.Time < touched[i].from || f.Time+f.Stall > touched[i].to {
			t.Errorf("fault %d from %v for %v, touched from %v to %v", i, f.Time, f.Stall, touched[i].from, touched[i].to)
		}
	}
}
