//go:build linux && (amd64 || arm64)

package bench

import (
	"runtime"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// A fault allocates nothing, neither where it is resolved nor where it is counted afterwards: the
// figure is of the whole process. The log of single faults is off: it grows as it must, see below.
func TestFaultsDoNotAllocate(t *testing.T) {
	for _, stacks := range []profiler.StackSampling{profiler.StacksNone(), profiler.StacksEvery()} {
		t.Run(stacks.String(), func(t *testing.T) {
			p, err := profiler.New(profiler.WithFailingSystemCalls(), profiler.WithStacks(stacks), profiler.WithLogLimit(0))
			skipUnsupported(t, err)
			defer func() {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}()
			const runs = 4096
			r, err := p.NewArena("arena", (runs+1)*pageSize) // AllocsPerRun runs once more, to warm up
			if err != nil {
				t.Fatal(err)
			}
			mem, at := r.Bytes(), 0
			allocs := testing.AllocsPerRun(runs, func() {
				mem[at] = 1
				at += pageSize
			})
			if allocs != 0 {
				t.Errorf("%v allocations for each fault", allocs)
			}
			if got := p.Snapshot().Stats.Faults; got != runs+1 {
				t.Errorf("%d faults seen, made were %d", got, runs+1)
			}
		})
	}
}

// With the log, 32,768 faults of an arena allocate 32 times at most: the log doubles, the set of touched granules grows by
// leaves, and each region, stack and thread has its totals. A snapshot taken meanwhile keeps what it had. Looks at the
// mappings go by time, not by faults, so there are none.
func TestLogAllocatesInLargePieces(t *testing.T) {
	p, err := profiler.New(profiler.WithFailingSystemCalls(), profiler.WithStacks(profiler.StacksNone()), profiler.WithRescan(time.Hour))
	skipUnsupported(t, err)
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	const faults = 1 << 16
	r, err := p.NewArena("arena", faults*pageSize)
	if err != nil {
		t.Fatal(err)
	}
	mem := r.Bytes()
	store(mem[:faults/2*pageSize], pageSize)
	early := p.Snapshot()
	first := early.Faults[0]
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	store(mem[faults/2*pageSize:], pageSize)
	p.Flush()
	runtime.ReadMemStats(&after)
	if n := after.Mallocs - before.Mallocs; n > 32 {
		t.Errorf("%d allocations for %d faults", n, faults/2)
	}
	late := p.Snapshot()
	if len(early.Faults) != faults/2 || len(late.Faults) != faults || early.Faults[0] != first || late.Faults[0] != first {
		t.Errorf("%d and %d faults in the logs, made were %d and %d", len(early.Faults), len(late.Faults), faults/2, faults)
	}
}
