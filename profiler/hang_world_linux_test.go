//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// world is what else may go on in a process. Each prepares it and returns what ends and checks it.
type world struct {
	name string
	set  func(t *testing.T, p *Profiler) (end func(s *Snapshot))
}

var worlds = []world{
	{"cpu profile", worldCPUProfile},
	{"execution trace", worldTrace},
	{"all signals notified", worldNotify},
	{"signals ignored", worldIgnore},
	{"GOMAXPROCS changes", worldProcs},
	{"signal storm", worldSignals},
	{"profile, trace, signals and GOMAXPROCS at once", worldAll},
	{"processes that start", worldProcesses},
	{"every processor busy", worldBusy},
}

// Other users of the runtime's signals, stops and threads, and the engine, do not disturb each
// other.
func TestNothingElseInTheProcessMakesItHang(t *testing.T) {
	aside(t)
	for _, w := range worlds {
		inChildren(t, "TestNothingElseInTheProcessMakesItHang", w.name, []string{"GOGC=1"}, func(t *testing.T) {
			p := newProfiler(t)
			end := w.set(t, p)
			duringCollections(t, p, testproc.Times(1000, 4000), func(a *armed) { a.spread(t, 8, hangMixed(p)) })
			s := p.Snapshot()
			// A goroutine that is preempted in the moment between the look at its thread and the signal for its
			// stack is missed: that is counted, and rare, see doc.go.
			if st := s.Stats; st.Stacks+st.StacksMissed != st.Faults || st.StacksMissed > st.Faults/w.rare() {
				t.Errorf("%d faults, %d stacks, %d missed", s.Stats.Faults, s.Stats.Stacks, s.Stats.StacksMissed)
			}
			end(s)
		})
	}
}

// rare is how many faults there are at least for one whose stack is missed: fewer where the engine has to wait for a processor.
func (w world) rare() uint64 {
	if w.name == "every processor busy" {
		return 50
	}
	return 400
}

// hangMixed takes turns in the ways of touching.
func hangMixed(p *Profiler) func(a *armed, lo, hi int) error {
	userOnly := p.Snapshot().Stats.UserModeOnly
	return func(a *armed, lo, hi int) error {
		row := hangRows[lo/pageSize/chunk%len(hangRows)]
		if row.system && userOnly {
			return hangCopy(a, lo, hi)
		}
		return row.touch(a, lo, hi)
	}
}

func worldCPUProfile(t *testing.T, p *Profiler) func(*Snapshot) {
	var b bytes.Buffer
	if err := pprof.StartCPUProfile(&b); err != nil {
		t.Fatal(err)
	}
	return func(*Snapshot) {
		pprof.StopCPUProfile()
		if b.Len() == 0 {
			t.Error("the CPU profile is empty")
		}
	}
}

func worldTrace(t *testing.T, p *Profiler) func(*Snapshot) {
	var b bytes.Buffer
	if err := trace.Start(&b); err != nil {
		t.Fatal(err)
	}
	return func(*Snapshot) {
		trace.Stop()
		if !bytes.HasPrefix(b.Bytes(), []byte("go 1.")) || b.Len() < 1000 {
			t.Errorf("no execution trace but %d bytes", b.Len())
		}
	}
}

func worldNotify(t *testing.T, p *Profiler) func(*Snapshot) {
	got := make(chan os.Signal, 1<<16)
	signal.Notify(got)
	kill(t, unix.SIGUSR1)
	return func(*Snapshot) {
		signal.Stop(got)
		close(got)
		seen := map[os.Signal]int{}
		for s := range got {
			seen[s]++
		}
		if seen[unix.SIGUSR1] == 0 {
			t.Errorf("SIGUSR1 was not notified: %v", seen)
		}
		if seen[syscall.Signal(defaultConfig().signal)] != 0 {
			t.Errorf("the engine's signal reached the program: %v", seen)
		}
	}
}

func worldIgnore(t *testing.T, p *Profiler) func(*Snapshot) {
	got := make(chan os.Signal, 1)
	signal.Notify(got, unix.SIGHUP)
	for n := 1; n <= 64; n++ {
		if s := syscall.Signal(n); s != unix.SIGHUP && s != unix.SIGURG {
			signal.Ignore(s)
		}
	}
	kill(t, unix.SIGUSR1)
	kill(t, unix.SIGHUP)
	return func(*Snapshot) { <-got }
}

func kill(t *testing.T, s unix.Signal) {
	t.Helper()
	if err := unix.Kill(os.Getpid(), s); err != nil {
		t.Fatal(err)
	}
}

// during repeats f until the returned function is called, which says how often that was.
func during(f func(i int)) (end func() int) {
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- i
				return
			default:
				f(i)
			}
		}
	}()
	return sync.OnceValue(func() int {
		close(stop)
		return <-done
	})
}

func worldProcs(t *testing.T, p *Profiler) func(*Snapshot) {
	end := during(func(i int) { runtime.GOMAXPROCS(1 + i%8) })
	return func(*Snapshot) { t.Logf("GOMAXPROCS changed %d times", end()) }
}

// worldSignals interrupts the threads as often as it can, also while they wait for a page.
func worldSignals(t *testing.T, p *Profiler) func(*Snapshot) {
	got := make(chan os.Signal, 1)
	signal.Notify(got, unix.SIGUSR1)
	end := during(func(int) {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Error(err)
		}
		for _, task := range tasks {
			var tid int
			fmt.Sscan(task.Name(), &tid)
			unix.Tgkill(os.Getpid(), tid, unix.SIGUSR1) // ESRCH: it ended
		}
		time.Sleep(100 * time.Microsecond)
	})
	return func(s *Snapshot) {
		t.Logf("%d rounds of signals; %d messages for %d faults", end(), s.Stats.Messages, s.Stats.Faults)
		<-got
	}
}

// worldAll is what people do who look for trouble.
func worldAll(t *testing.T, p *Profiler) func(*Snapshot) {
	var ends []func(*Snapshot)
	for _, set := range []func(*testing.T, *Profiler) func(*Snapshot){worldCPUProfile, worldTrace, worldSignals, worldProcs} {
		ends = append(ends, set(t, p))
	}
	return func(s *Snapshot) {
		for _, end := range ends {
			end(s)
		}
	}
}

// worldProcesses starts processes, four at a time: Go does that by a clone that shares memory, and stops
// the thread until the exec.
func worldProcesses(t *testing.T, p *Profiler) func(*Snapshot) {
	var ends []func() int
	for range 4 {
		ends = append(ends, during(func(int) {
			if err := runTrue(nil); err != nil {
				t.Error(err)
			}
		}))
	}
	return func(*Snapshot) {
		n := 0
		for _, end := range ends {
			n += end()
		}
		t.Logf("%d processes started", n)
	}
}

// worldBusy has other processes keep every processor busy.
func worldBusy(t *testing.T, p *Profiler) func(*Snapshot) {
	busyProcesses(t, runtime.NumCPU()+1)
	return func(*Snapshot) {}
}

// busyProcesses starts n processes that want a processor each until the test ends.
func busyProcesses(t *testing.T, n int) {
	t.Helper()
	for range n {
		c := exec.Command("sh", "-c", "while :; do :; done")
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			c.Process.Kill()
			c.Wait()
		})
	}
}
