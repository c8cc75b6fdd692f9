//go:build linux && (amd64 || arm64)

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/firsttouch/firsttouch/agent"
	"github.com/firsttouch/firsttouch/exporter/pprof"
	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
	"golang.org/x/sys/unix"
)

// Rates writes what an agent costs by the rate of faults, how long a million of them take to export, and
// what a ring that is too small loses. The caller has called Child before.
func Rates(w io.Writer) error {
	return errors.Join(agentCost(w, profiler.DeliveryThread), agentCost(w, profiler.DeliverySignal), exportCost(w), losses(w))
}

// agentRun is how long each rate is kept up.
const agentRun = 2 * time.Second

// agentCost touches arenas of an agent at a steady pace, in a batch each millisecond, and plain
// memory at the same pace.
func agentCost(w io.Writer, d profiler.Delivery) error {
	a, err := agent.Start(context.Background(), agent.WithDelivery(d), agent.WithFailingSystemCalls())
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n## An agent with default settings, by the rate of first touches: delivery by %v\n\n", d)
	if a.Profiler() == nil {
		fmt.Fprintf(w, "skipped: %s\n", a.Reason())
		return a.Shutdown(context.Background())
	}
	fmt.Fprint(w, "Processor time as a share of one core: of the agent's threads and handlers as it reports itself, and\n"+
		"of the whole process beyond what the same touches of plain memory take.\n\n"+
		"| first touches a second, wanted | made | agent's own | whole process, beyond plain | seen of made | stacks | dropped |\n|---:|---:|---:|---:|---:|---:|---:|\n")
	for i, rate := range []int{100, 1000, 3000, 10000, 30000, 100000} {
		n := rate * int(agentRun/time.Second)
		plain, err := mapArena(n * pageSize)
		if err != nil {
			return err
		}
		_, plainCPU := paced(plain, rate)
		if err := unix.Munmap(plain); err != nil {
			return err
		}
		arena, err := a.Arena(fmt.Sprint("bench-", i), n*pageSize)
		if err != nil {
			return err
		}
		before := a.Profiler().Snapshot().Stats
		took, cpu := paced(arena.Bytes(), rate)
		after := a.Profiler().Snapshot().Stats
		share := func(d time.Duration) float64 { return 100 * d.Seconds() / took.Seconds() }
		fmt.Fprintf(w, "| %d | %.0f | %.2f%% | %.2f%% | %d of %d | %d | %d |\n", rate, float64(n)/took.Seconds(), share(after.Overhead-before.Overhead),
			share(cpu-plainCPU), after.Faults-before.Faults, n, after.Stacks-before.Stacks, after.Dropped-before.Dropped)
		if err := arena.Close(); err != nil {
			return err
		}
	}
	return a.Shutdown(context.Background())
}

// paced writes one byte in every page, so many pages a second.
func paced(b []byte, rate int) (took, cpu time.Duration) {
	start, before := time.Now(), processorTime()
	for done, n := 0, len(b)/pageSize; done < n; {
		due := min(n, int(time.Since(start).Seconds()*float64(rate))+1)
		for ; done < due; done++ {
			b[done*pageSize] = 1
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(start), processorTime() - before
}

// exportCost exports a million faults from 64 stacks.
func exportCost(w io.Writer) error {
	const faults, stacks = 1 << 20, 64
	b := profiler.NewSnapshotBuilder()
	r := b.AddRegion(profiler.RegionStats{Name: "cache", Granule: pageSize, Size: faults * int64(pageSize)})
	var ids [stacks]profiler.StackID
	for i := range ids {
		ids[i] = b.AddStack(deepStack(i))
	}
	for i := range faults {
		b.AddFault(profiler.Fault{
			Seq: uint64(i), Region: r, Offset: int64(i * pageSize), Stack: ids[i%stacks],
			Time: time.Duration(i) * 10 * time.Microsecond, Stall: time.Duration(5000 + i%1000), Messages: 1,
		})
	}
	s := b.Snapshot()
	fmt.Fprintf(w, "\n## Exporting %d first touches from %d stacks\n\n| profile | ms | ms of processor time | KiB |\n|---|---:|---:|---:|\n", faults, stacks)
	for _, p := range []struct {
		name  string
		build func(*profiler.Snapshot, ...pprof.Option) *profile.Profile
	}{{"by call stack", pprof.ByCode}, {"by place in memory", pprof.ByAddress}} {
		var out bytes.Buffer
		start, before := time.Now(), processorTime()
		if err := pprof.Write(&out, p.build(s)); err != nil {
			return err
		}
		fmt.Fprintf(w, "| %s | %d | %d | %d |\n", p.name, time.Since(start).Milliseconds(), (processorTime() - before).Milliseconds(), out.Len()>>10)
	}
	return nil
}

// deepStack is the current stack below so many calls of itself.
func deepStack(calls int) []uintptr {
	if calls > 0 {
		return deepStack(calls - 1)
	}
	pcs := make([]uintptr, 128)
	return pcs[:runtime.Callers(1, pcs)]
}

// losses fills a ring that is too small and holds that what is missing was counted.
func losses(w io.Writer) (err error) {
	const pages = 1 << 15
	p, skip, err := newProfiler(profiler.WithRing(64), profiler.WithStacks(profiler.StacksNone()))
	if p == nil {
		if err == nil {
			fmt.Fprintf(w, "\n## A ring of 64 records\n\nskipped: %s\n", skip.skip)
		}
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	region, err := p.NewArena("bench", pages*pageSize)
	if err != nil {
		return err
	}
	store(region.Bytes(), pageSize)
	s := p.Snapshot().Stats
	fmt.Fprintf(w, "\n## A ring of 64 records\n\n| first touches made | counted | recorded | dropped |\n|---:|---:|---:|---:|\n| %d | %d | %d | %d |\n",
		pages, s.Faults, s.Records, s.Dropped)
	if s.Faults != pages || s.Records+s.Dropped != s.Faults {
		return fmt.Errorf("%d faults made, %d counted, %d recorded and %d dropped", pages, s.Faults, s.Records, s.Dropped)
	}
	return nil
}
