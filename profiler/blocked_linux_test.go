//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/slowfs"
	"golang.org/x/sys/unix"
)

// lost is for how long a goroutine that wants to run every millisecond could not, until over is closed. What is shorter than a page takes
// is the machine's doing.
func lost(over chan struct{}) (sum time.Duration) {
	const tick, least = time.Millisecond, 30 * time.Millisecond
	last := engine.Now()
	for {
		select {
		case <-over:
			return sum
		case <-time.After(tick):
		}
		now := engine.Now()
		if gap := now - last - tick; gap > least {
			sum += gap
		}
		last = now
	}
}

// runDelay is for how long threads of this process have waited for a processor (sched(7), /proc/PID/task/TID/schedstat): what a goroutine loses
// to others on a busy machine.
func runDelay(t *testing.T) (sum time.Duration) {
	t.Helper()
	list, err := filepath.Glob("/proc/self/task/*/schedstat")
	must(t, err)
	for _, path := range list {
		var ran, waited int64
		if text, err := os.ReadFile(path); err == nil { // else it has ended
			_, err := fmt.Sscan(string(text), &ran, &waited)
			must(t, err)
			sum += time.Duration(waited)
		}
	}
	return sum
}

// What is reported as time in which all Ps stood in page faults is what a goroutine lost that wants to run all the time; by file and code it
// adds up to that. A request that touches nothing is told, and one whose own faults they were is not.
func TestTimeInWhichAllPsStood(t *testing.T) {
	aside(t)
	const rounds, delay = 8, 60 * time.Millisecond
	for _, delivery := range eachDelivery() {
		for _, procs := range []int{1, 2, 4} {
			pages := rounds * procs
			env := append([]string{fmt.Sprintf("GOMAXPROCS=%d", procs), "GOGC=off"}, delivery...)
			slowStorage(t, "TestTimeInWhichAllPsStood", fmt.Sprintf("GOMAXPROCS %d", procs), slowfs.File{Contents: contents(pages * pageSize), Delay: delay}, env, func(t *testing.T, path string) {
				p := newProfiler(t)
				b := mapRandom(t, path, pages)
				r := attach(t, p, path)
				over, told := make(chan struct{}), make(chan time.Duration)
				var other SpanStats
				go func() {
					s := p.StartSpan([16]byte{1}, [8]byte{1})
					d := lost(over)
					other = s.End()
					s.Release()
					told <- d
				}()
				time.Sleep(5 * time.Millisecond)
				waited := runDelay(t)
				own := make([]SpanStats, procs)
				for round := range rounds {
					var wg sync.WaitGroup
					for i := range procs {
						wg.Go(func() {
							s := p.StartSpan([16]byte{2}, [8]byte{byte(i + 1)})
							standAt(b, (round*procs+i)*pageSize)
							end := s.End()
							own[i].Blocked += end.Blocked
							own[i].Stall += end.Stall
							s.Release()
						})
					}
					wg.Wait()
				}
				close(over)
				truth := <-told
				waited = runDelay(t) - waited
				s := p.Snapshot()
				got := s.Stats.Blocked
				if off := max(got.All-truth, truth-got.All-waited); truth < rounds*delay/2 || off > truth/10 && s.Stats.StallsUnknown == 0 {
					t.Errorf("all Ps stood for %v, and a goroutine lost %v; threads waited %v for a processor", got.All, truth, waited)
				}
				if got.Procs != procs || got.Sum < got.All*time.Duration(procs) || got.Any < got.All || len(s.Faults) != pages {
					t.Errorf("%d faults, want %d: %+v", len(s.Faults), pages, got)
				}
				var groups, spans time.Duration
				for _, g := range s.Groups {
					if groups += g.Blocked; g.Blocked > 0 && (g.Region != r.ID() || !slices.ContainsFunc(s.Frames(g.Stack), func(f runtime.Frame) bool { return strings.HasSuffix(f.Function, ".standAt") })) {
						t.Errorf("%v of it is by %v", g.Blocked, s.Frames(g.Stack))
					}
				}
				for _, x := range s.Blocked {
					spans += x.All
				}
				if off := max(groups-got.All, got.All-groups); off > got.All/10 || spans != got.All {
					t.Errorf("all Ps stood for %v, by file and code for %v, over time for %v", got.All, groups, spans)
				}
				if off := max(other.Blocked-truth, truth-other.Blocked-waited); off > truth/10 || other.Faults != 0 {
					t.Errorf("a request that touches nothing lost %v, and is told %v", truth, other.Blocked)
				}
				for i, o := range own {
					if o.Blocked > o.Stall/5 {
						t.Errorf("request %d is told that it lost %v to others, and its own faults took %v", i, o.Blocked, o.Stall)
					}
				}
				t.Logf("seen: all %d Ps stood for %v, and a goroutine lost %v", procs, got.All, truth)
			})
		}
	}
}

//go:noinline
func standAt(b []byte, at int) { use(b[at]) }

// Who waits for a page that another thread touched first leaves no record, and a system call has no P for long: what is reported is a lower bound.
func TestTimeInWhichAllPsStoodIsALowerBound(t *testing.T) {
	aside(t)
	const delay = 200 * time.Millisecond
	for _, delivery := range eachDelivery() {
		for _, name := range []string{"two goroutines at one page", "a system call"} {
			slowStorage(t, "TestTimeInWhichAllPsStoodIsALowerBound", name, slowfs.File{Contents: contents(4 * pageSize), Delay: delay}, append([]string{"GOMAXPROCS=2", "GOGC=off"}, delivery...), func(t *testing.T, path string) {
				p := newProfiler(t)
				b := mapRandom(t, path, 4)
				attach(t, p, path)
				over, told := make(chan struct{}), make(chan time.Duration)
				go func() { told <- lost(over) }()
				time.Sleep(5 * time.Millisecond)
				var wg sync.WaitGroup
				wg.Go(func() { use(b[0]) })
				wg.Go(func() {
					if name != "a system call" {
						use(b[1])
						return
					}
					var pipe [2]int
					if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
						t.Error(err)
						return
					}
					defer unix.Close(pipe[0])
					defer unix.Close(pipe[1])
					if _, err := unix.Write(pipe[1], b[pageSize:pageSize+8]); err != nil && !p.Snapshot().Stats.UserModeOnly {
						t.Error(err)
					}
				})
				wg.Wait()
				close(over)
				truth := <-told
				s := p.Snapshot()
				got := s.Stats.Blocked
				measured := slices.ContainsFunc(s.Faults, func(f Fault) bool { return f.Wait == WaitMeasured })
				if got.All > truth+delay/10 || measured && got.Any < delay*9/10 || got.Any > delay*3 {
					t.Errorf("all Ps stood for %v, and a goroutine lost %v: %+v, %+v", got.All, truth, got, s.Faults)
				}
				t.Logf("seen: all Ps stood for %v at least, and a goroutine lost %v", got.All, truth)
			})
		}
	}
}

// A stop of the garbage collector that waits for a page fault is told.
func TestStopOfTheCollectorWaitsForAFault(t *testing.T) {
	aside(t)
	const delay = 400 * time.Millisecond
	for _, delivery := range eachDelivery() {
		slowStorage(t, "TestStopOfTheCollectorWaitsForAFault", "all", slowfs.File{Contents: contents(4 * pageSize), Delay: delay}, append([]string{"GOMAXPROCS=4", "GOGC=off"}, delivery...), func(t *testing.T, path string) {
			p := newProfiler(t)
			b := mapRandom(t, path, 4)
			attach(t, p, path)
			runtime.GC()
			if got := p.Snapshot().Stats.Blocked; got.GCStops != 0 {
				t.Errorf("before any fault: %+v", got)
			}
			done := make(chan struct{})
			go func() { defer close(done); use(b[0]) }()
			for p.Stalled() == 0 {
				time.Sleep(time.Millisecond)
			}
			from := engine.Now()
			runtime.GC()
			took := engine.Now() - from
			<-done
			got := p.Snapshot().Stats.Blocked
			if got.GCStops == 0 || got.GCMost < took/2 || got.GCMost > took*3/2 || got.GCLeast > took || took > delay/2 && got.GCLeast == 0 {
				t.Errorf("a collection took %v, beside a fault of %v: %+v", took, delay, got)
			}
			t.Logf("seen: a collection took %v, of which %v to %v for a fault", took, got.GCLeast, got.GCMost)
		})
	}
}
