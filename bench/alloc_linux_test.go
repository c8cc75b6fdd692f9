//go:build linux && (amd64 || arm64)

package bench

import (
	"testing"

	"github.com/firsttouch/firsttouch/profiler"
)

// A fault allocates nothing, neither where it is resolved nor where it is counted afterwards: the
// figure is of the whole process. The log of single faults is off, since it grows as it must.
func TestFaultsDoNotAllocate(t *testing.T) {
	for _, stacks := range []profiler.StackSampling{profiler.StacksNone(), profiler.StacksEvery()} {
		t.Run(stacks.String(), func(t *testing.T) {
			p, err := profiler.New(profiler.WithStacks(stacks), profiler.WithLogLimit(0))
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
