//go:build linux && (amd64 || arm64)

package profiler

import (
	"runtime"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/testproc"
)

// A fault and its stall lie within the touch, also where the toucher works on between its touches: the clock is read
// before it goes on.
func TestStallLiesWithinTheTouch(t *testing.T) {
	inChild(t, "TestStallLiesWithinTheTouch", "all", undisturbedWaits, func(t *testing.T) {
		stallsLieWithin(t, 400, WithStacks(StacksNone()))
	})
}

// undisturbedWaits keeps Go's preemption from ending a wait: a signal that the engine does not know of does that as the one
// for the stack does.
var undisturbedWaits = []string{"GODEBUG=asyncpreemptoff=1"}

// The signal for its stack ends a toucher's wait: it may go on before it is woken, while the resolver has filled the page
// and not yet read the clock. Others that want the processors make that happen.
func TestStallLiesWithinTheTouchWithStacks(t *testing.T) {
	inChild(t, "TestStallLiesWithinTheTouchWithStacks", "all", undisturbedWaits, stallsWithStacks)
}

func stallsWithStacks(t *testing.T) {
	busyProcesses(t, 2*runtime.NumCPU())
	stallsLieWithin(t, testproc.Times(1000, 4000), WithStacks(StacksEvery()))
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
