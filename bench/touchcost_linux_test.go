//go:build linux && (amd64 || arm64)

package bench

import (
	"runtime"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// threadTime is the processor time of the calling thread.
func threadTime(t *testing.T) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// TestTouchCost measures what a first touch costs its thread in processor time on top of the kernel's own fault:
// profiler.TouchCost is an estimate of it, with which a budget is kept. It fails only where it measures nothing.
func TestTouchCost(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const pages = 1 << 14
	touchAll := func(b []byte) time.Duration {
		start := threadTime(t)
		for i := range pages {
			b[i*pageSize] = 1
		}
		return (threadTime(t) - start) / pages
	}
	plain, err := mapArena(pages * pageSize)
	if err != nil {
		t.Fatal(err)
	}
	without := touchAll(plain)
	if err := unix.Munmap(plain); err != nil {
		t.Fatal(err)
	}
	p, err := profiler.New(profiler.WithFailingSystemCalls(), profiler.WithStacks(profiler.StacksNone()))
	skipUnsupported(t, err)
	defer p.Close()
	r, err := p.NewArena("arena", pages*pageSize)
	if err != nil {
		t.Fatal(err)
	}
	with := touchAll(r.Bytes())
	c := p.Cost()
	t.Logf("a first touch takes %v of its thread's processor time, %v without the profiler: %v more, where %v are assumed; the engine takes %v",
		with, without, with-without, profiler.TouchCost, c.Engine/time.Duration(c.Faults))
	if c.Faults != pages || c.Touchers != pages*profiler.TouchCost || c.Total() <= c.Touchers {
		t.Errorf("cost %+v of %d first touches", c, pages)
	}
}
