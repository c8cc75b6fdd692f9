//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/slowfs"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// eachDelivery are the environments of children that try both deliveries. Who has chosen one, a child among them, tries that.
func eachDelivery() [][]string {
	if os.Getenv(testproc.DeliveryEnv) != "" || os.Getenv(slowEnv) != "" {
		return [][]string{nil}
	}
	return [][]string{{testproc.DeliveryEnv + "=" + DeliveryThread.String()}, {testproc.DeliveryEnv + "=" + DeliverySignal.String()}}
}

// slowStorage has body use a file whose storage takes its time, which another process serves.
func slowStorage(t *testing.T, top, name string, f slowfs.File, env []string, body func(t *testing.T, path string)) {
	if path := os.Getenv(slowEnv); path != "" {
		inChild(t, top, name, nil, func(t *testing.T) { body(t, path) })
		return
	}
	env = append(env, slowEnv+"="+slowfs.Serve(t, f))
	inChild(t, top, name, env, func(*testing.T) {})
}

// mapRandom maps a file without read-ahead.
func mapRandom(t *testing.T, path string, pages int) []byte {
	t.Helper()
	b := mapFile(t, path, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	if err := unix.Madvise(b, unix.MADV_RANDOM); err != nil {
		t.Fatal(err)
	}
	return b
}

// A known wait for storage is what is reported as stall, by the thread that waited, with its stack.
func TestStallOfSlowStorage(t *testing.T) {
	const pages, delay = 7, 200 * time.Millisecond
	slowStorage(t, "TestStallOfSlowStorage", "all", slowfs.File{Contents: contents(pages * pageSize), Delay: delay}, nil, func(t *testing.T, path string) {
		p := newProfiler(t)
		b := mapRandom(t, path, pages)
		attach(t, p, path)
		type span struct{ from, to time.Duration }
		var touched []span
		for i := range pages {
			from := engine.Now()
			use(b[i*pageSize])
			touched = append(touched, span{from, engine.Now()})
		}
		s := p.Snapshot()
		checkSums(t, s)
		if len(s.Faults) != pages || s.Stats.StacksMissed != 0 || s.Stats.StallsUnknown != 0 {
			t.Fatalf("%d faults, want %d: %+v", len(s.Faults), pages, s.Stats)
		}
		var off []time.Duration
		for i, f := range s.Faults {
			if f.Time < touched[i].from || f.Time+f.Stall > touched[i].to || f.Source != SourceDisk || f.Wait != WaitMeasured {
				t.Errorf("fault %d from %v for %v, touched from %v to %v: %+v", i, f.Time, f.Stall, touched[i].from, touched[i].to, f)
			}
			off = append(off, max(f.Stall-delay, delay-f.Stall))
		}
		slices.Sort(off)
		if off[0] > delay/20 { // on a busy machine storage takes longer, and so does a thread that goes on
			t.Errorf("stalls of pages that take %v are off by %v", delay, off)
		}
		t.Logf("seen: stalls of pages that take %v, off by %v", delay, off)
	})
}

// Goroutines that wait for storage keep their Ps, as in a plain mapping: a third one is late by as much, and not by more.
func TestWaitForStorageHoldsTheP(t *testing.T) {
	const pages, delay = 8, 300 * time.Millisecond
	slowStorage(t, "TestWaitForStorageHoldsTheP", "all", slowfs.File{Contents: contents(pages * pageSize), Delay: delay}, []string{"GOMAXPROCS=2", "GOGC=off"}, func(t *testing.T, path string) {
		b := mapRandom(t, path, pages)
		late := func(first int) (most time.Duration) {
			var wg sync.WaitGroup
			var left atomic.Int32
			left.Store(2)
			for i := range 2 {
				wg.Go(func() {
					use(b[(first+i)*pageSize])
					left.Add(-1)
				})
			}
			for last := engine.Now(); left.Load() > 0; {
				time.Sleep(time.Millisecond)
				now := engine.Now()
				most = max(most, now-last)
				last = now
			}
			wg.Wait()
			return most
		}
		plain := late(0)
		p := newProfiler(t)
		attach(t, p, path)
		seen := late(4)
		if seen < delay*8/10 || seen > max(plain, delay)+testproc.Budget(delay/5) {
			t.Errorf("a third goroutine is late by %v, and by %v in a plain mapping", seen, plain)
		}
		s := p.Snapshot()
		if len(s.Faults) != 2 || s.Stats.StallsUnknown != 0 {
			t.Errorf("%d faults, %+v", len(s.Faults), s.Stats)
		}
		t.Logf("seen: a third goroutine is late by %v, and by %v in a plain mapping", seen, plain)
	})
}

// Storage that does not answer keeps the thread that touches it, and nothing else: faults elsewhere are counted, with a small ring too,
// memory is armed again and given back, processes are started, and the profiler is closed and another one started meanwhile. When it
// answers the fault is complete.
func TestStorageThatDoesNotAnswer(t *testing.T) {
	aside(t)
	const pages, silent, never = 64, 5, 5 * time.Second
	f := slowfs.File{Contents: contents(pages * pageSize), Late: func(at int64) time.Duration {
		if at == silent*int64(pageSize) {
			return never
		}
		return 0
	}}
	for _, delivery := range eachDelivery() {
		for _, name := range []string{"read ends first", "region ends first", "profiler ends first"} {
			slowStorage(t, "TestStorageThatDoesNotAnswer", name, f, append([]string{"GOGC=off", "GOMAXPROCS=4"}, delivery...), func(t *testing.T, path string) {
				doesNotAnswer(t, path, pages, silent, strings.TrimSuffix(name, " ends first"))
			})
		}
	}
}

func doesNotAnswer(t *testing.T, path string, pages, silent int, ends string) {
	p := newProfiler(t, WithRing(256))
	b := mapRandom(t, path, pages)
	other := newFile(t, pages*pageSize)
	o := mapFile(t, other, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	slow, quick := attach(t, p, path), attach(t, p, other)
	arena := newArena(t, p, "arena", 1000*pageSize)
	done := make(chan byte, 1)
	began := make(chan struct{})
	go func() {
		close(began)
		done <- b[silent*pageSize+1]
	}()
	<-began
	pending := func(what string) {
		t.Helper()
		select {
		case <-done:
			t.Fatalf("%s came after the storage had answered", what)
		default:
		}
	}
	for p.Stalled() == 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(engine.Patience)
	for i := range 1000 {
		arena.Bytes()[i*pageSize] = 1
		if i%pages == 0 {
			p.Flush() // the ring is no larger
		}
	}
	readPages(o)
	p.Flush()
	for i := range pages {
		if i != silent {
			use(b[i*pageSize])
		}
	}
	s := p.Snapshot()
	pending("a snapshot")
	checkSums(t, s)
	if got := s.Regions[quick.ID()].Faults; got != uint64(pages) {
		t.Errorf("%d faults of another file, want %d", got, pages)
	}
	if got := s.Regions[slow.ID()].Faults; got != uint64(pages)-1 {
		t.Errorf("%d faults of the other pages, want %d", got, pages-1)
	}
	if s.Stats.Dropped != 0 || s.Stats.Waiting != 1 || p.Stalled() != 1 {
		t.Errorf("%d waiting, %d stalled, %+v", s.Stats.Waiting, p.Stalled(), s.Stats)
	}
	stands := fmt.Sprintf("waits for the storage of the page at %#x, for ", addressOf(b[silent*pageSize:]))
	if text := Dump(); strings.Count(text, stands) != 1 || !strings.Contains(text, " ms\n") {
		t.Errorf("%q does not have %q", text, stands)
	}
	rearm(t, quick)
	rearm(t, slow)
	pending("arming again")
	readPages(o)
	if err := exec.Command("true").Run(); err != nil {
		t.Error(err)
	}
	pending("another process")
	want := uint64(2) // of the page: in the window that has ended, and in the one in which it came
	switch ends {
	case "region":
		closeBusy(t, slow.Close)
		pending("closing the region")
		want = 1
	case "profiler":
		closeBusy(t, p.Close)
		pending("closing the profiler")
		if text := Dump(); !strings.Contains(text, "it was closed") || strings.Count(text, stands) != 1 {
			t.Errorf("closed: %q does not have %q", text, stands)
		}
		p = newProfiler(t)
		again := attach(t, p, other)
		readPages(o)
		pending("another profiler")
		if got := p.Snapshot().Regions[again.ID()].Faults; got != uint64(pages) {
			t.Errorf("%d faults of another profiler, want %d", got, pages)
		}
	}
	if got, want := <-done, contents(pages * pageSize)[silent*pageSize+1]; got != want {
		t.Errorf("read %d, want %d", got, want)
	}
	if ends != "profiler" {
		s = p.Snapshot()
		checkSums(t, s)
		var of []Fault
		for _, f := range s.Faults {
			if f.Region == slow.ID() && int(f.Offset)/pageSize == silent {
				of = append(of, f)
			}
		}
		if uint64(len(of)) != want || s.Stats.Waiting != 0 || s.Stats.StallsUnknown != 0 {
			t.Fatalf("%d faults of the page, want %d: %+v", len(of), want, s.Stats)
		}
		longest := slices.MaxFunc(of, func(a, b Fault) int { return int(a.Stall - b.Stall) })
		if longest.Stall < time.Second || longest.Source != SourceDisk {
			t.Errorf("the fault of the page: %+v", longest)
		}
		for _, f := range of {
			if f.Stack == 0 || !slices.ContainsFunc(p.Frames(f.Stack), func(fr runtime.Frame) bool { return strings.Contains(fr.Function, "doesNotAnswer") }) {
				t.Errorf("its stack is %v", p.Frames(f.Stack))
			}
		}
	}
	t.Logf("seen: everything else went on while one page did not come")
}

// A thread that blocks the engine's signal gets its page, and its stall is unknown, and not 0. That of a system call is the time until it had
// returned at most.
func TestStallsThatAreNotMeasured(t *testing.T) {
	const pages, delay = 8, 100 * time.Millisecond
	slowStorage(t, "TestStallsThatAreNotMeasured", "all", slowfs.File{Contents: contents(pages * pageSize), Delay: delay}, []string{testproc.DeliveryEnv + "=" + DeliveryThread.String()}, func(t *testing.T, path string) {
		p := newProfiler(t)
		b := mapRandom(t, path, pages)
		attach(t, p, path)
		blocked := make(chan byte)
		go func() {
			runtime.LockOSThread()
			var old, all unix.Sigset_t
			for i := range all.Val {
				all.Val[i] = ^uint64(0)
			}
			if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, &old); err != nil {
				t.Error(err)
			}
			blocked <- b[0]
			<-blocked
			unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
			blocked <- 0
		}()
		if got, want := <-blocked, contents(1)[0]; got != want {
			t.Errorf("read %d, want %d", got, want)
		}
		want := map[int]Wait{0: WaitUnknown}
		if !p.Snapshot().Stats.UserModeOnly {
			var pipe [2]int
			if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
			from := engine.Now()
			if _, err := unix.Write(pipe[1], b[pageSize:pageSize+10]); err != nil {
				t.Fatal(err)
			}
			took := engine.Now() - from
			want[1] = WaitAtMost
			defer func() {
				for _, f := range p.Snapshot().Faults {
					if f.Wait == WaitAtMost && (f.Stall < delay || f.Stall > took) {
						t.Errorf("a system call of %v has a stall of %v at most", took, f.Stall)
					}
				}
				unix.Close(pipe[0])
				unix.Close(pipe[1])
			}()
		}
		use(b[2*pageSize])
		want[2] = WaitMeasured
		for end := engine.Now() + testproc.Budget(10*time.Second); p.Snapshot().Stats.StallsUnknown == 0 && engine.Now() < end; {
			time.Sleep(time.Millisecond)
		}
		blocked <- 0 // the signal comes too late
		<-blocked
		s := p.Snapshot()
		checkSums(t, s)
		if len(s.Faults) != len(want) || s.Stats.StallsUnknown != 1 {
			t.Errorf("%d faults, want %d: %+v", len(s.Faults), len(want), s.Stats)
		}
		for _, f := range s.Faults {
			if w := want[int(f.Offset)/pageSize]; f.Wait != w || (f.Stall == 0) != (w == WaitUnknown) {
				t.Errorf("page %d: a stall of %v, %v, want %v", int(f.Offset)/pageSize, f.Stall, f.Wait, w)
			}
		}
		t.Logf("seen: %v", want)
	})
}
