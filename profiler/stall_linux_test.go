//go:build linux && (amd64 || arm64)

package profiler

import (
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
)

// A fault and its stall lie within the touch, also where the toucher works on between its touches: the clock is read
// before it goes on.
func TestStallLiesWithinTheTouch(t *testing.T) {
	const pages = 400
	p := newProfiler(t, WithStacks(StacksNone()))
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
