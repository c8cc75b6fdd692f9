//go:build linux && (amd64 || arm64)

package profiler

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// heapMinutes is how long TestGoHeapForLong works.
const heapMinutes = "FIRSTTOUCH_HEAP_MINUTES"

// TestGoHeapForLong does mixed work while the heap is armed again and again, for a second, or longer:
//
//	FIRSTTOUCH_HEAP_MINUTES=10 go test ./profiler -run TestGoHeapForLong -timeout 30m -v
func TestGoHeapForLong(t *testing.T) {
	aside(t)
	long := time.Duration(testproc.Times(1, 10)) * time.Second
	if v := os.Getenv(heapMinutes); v != "" {
		m, err := strconv.ParseFloat(v, 64)
		if err != nil {
			t.Fatalf("%s: %v", heapMinutes, err)
		}
		long = time.Duration(m * float64(time.Minute))
	}
	if os.Getenv(caseEnv) != "" {
		mixedWork(t, long)
		return
	}
	env := []string{caseEnv + "=all", "GORACE=atexit_sleep_ms=0 halt_on_error=1"}
	if out := testproc.Run(t, "TestGoHeapForLong", env, hangBudget+2*long); testing.Verbose() {
		t.Log(out)
	}
}

// driven is a corner that the runtime is driven into.
type driven struct {
	name string
	env  []string
}

// The runtime is driven into its corners while the heap is armed again and again.
func TestGoHeapSurvives(t *testing.T) {
	aside(t)
	survive(t, "TestGoHeapSurvives", []driven{
		{"GOMAXPROCS=16", []string{"GOMAXPROCS=16"}},
		{"GOGC=1 GOMAXPROCS=1", []string{"GOGC=1", "GOMAXPROCS=1"}},
		{"MADV_FREE", []string{"GODEBUG=madvdontneed=0"}},
	})
}

// So does each setting alone.
func TestGoHeapSurvivesEach(t *testing.T) {
	testproc.NeedLong(t, "four processes that are hard on the heap beside those of TestGoHeapSurvives")
	survive(t, "TestGoHeapSurvivesEach", []driven{
		{"plain", nil},
		{"GOMAXPROCS=1", []string{"GOMAXPROCS=1"}},
		{"GOGC=1", []string{"GOGC=1"}},
		{"no async preemption", []string{"GODEBUG=asyncpreemptoff=1"}},
	})
}

func survive(t *testing.T, top string, cases []driven) {
	for _, c := range cases {
		inChild(t, top, c.name, c.env, func(t *testing.T) { mixedWork(t, time.Duration(testproc.Times(300, 1500))*time.Millisecond) })
	}
}

// least is how many windows mixedWork makes, however long that takes.
const least = 8

// mixedWork arms the heap again and again, while goroutines do everything that is hard on it, and checks
// what they have there.
func mixedWork(t *testing.T, long time.Duration) {
	p := newProfiler(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	start := time.Now()
	runtime.MemProfileRate = 4096
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Fatal(err)
	}
	defer pprof.StopCPUProfile()
	if err := trace.Start(io.Discard); err != nil {
		t.Fatal(err)
	}
	defer trace.Stop()
	// Not all at once: the profiler would wait for a processor most of the time.
	places := make(chan struct{}, 4)
	var wg sync.WaitGroup
	for i, work := range []func(*rand.Rand) error{
		linkedWork, linkedWork, treeWork, mapWork, deepWork, goroutineWork, pipeWork, signalWork, threadWork, execWork,
		func(*rand.Rand) error { runtime.GC(); return nil },
		func(rnd *rand.Rand) error {
			time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
			debug.FreeOSMemory()
			return nil
		},
		func(*rand.Rand) error {
			var m runtime.MemStats
			runtime.ReadMemStats(&m) // stops the world
			return nil
		},
		func(*rand.Rand) error { p.Snapshot(); time.Sleep(20 * time.Millisecond); return nil },
	} {
		rnd := rand.New(rand.NewPCG(uint64(i), 5))
		wg.Go(func() {
			for ctx.Err() == nil {
				places <- struct{}{}
				err := work(rnd)
				<-places
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	rnd := rand.New(rand.NewPCG(100, 5))
	windows := 0
	for windows < least || time.Since(start) < long {
		r := attachHeap(t, p, WithHeapShare(1), WithName(fmt.Sprint("heap ", windows)))
		for range 1 + rnd.IntN(20) {
			time.Sleep(time.Duration(rnd.IntN(30)) * time.Millisecond)
			rearm(t, r)
			windows++
		}
		closeBusy(t, r.Close)
	}
	stop()
	wg.Wait()
	s := p.Snapshot().Stats
	if s.Faults == 0 || s.ResolveErrs != 0 {
		t.Errorf("%d faults, %d failed: %s", s.Faults, s.ResolveErrs, s.LastError)
	}
	t.Logf("%d windows, %d faults, %d stacks missed, %d dropped", windows, s.Faults, s.StacksMissed, s.Dropped)
}

func linkedWork(rnd *rand.Rand) error {
	n := 1 + rnd.IntN(1<<14)
	h := heapList(n)
	for range 3 {
		if !walkHeap(h, n) {
			return fmt.Errorf("a list of %d is not what it was", n)
		}
		time.Sleep(time.Duration(rnd.IntN(3)) * time.Millisecond)
	}
	return nil
}

// tree is a node whose sum is that of its children and its data.
type tree struct {
	left, right *tree
	data        []byte
	sum         uint32
}

func grow(rnd *rand.Rand, depth int) *tree {
	t := &tree{data: make([]byte, rnd.IntN(300))}
	for i := range t.data {
		t.data[i] = byte(rnd.Uint32())
	}
	if depth > 0 {
		t.left, t.right = grow(rnd, depth-1), grow(rnd, depth-1)
	}
	t.sum = t.check()
	return t
}

// check computes the sum of a node anew.
func (t *tree) check() uint32 {
	s := crc32.ChecksumIEEE(t.data)
	if t.left != nil {
		s = s*31 + t.left.check()*17 + t.right.check()
	}
	return s
}

func treeWork(rnd *rand.Rand) error {
	t := grow(rnd, 10)
	for range 3 {
		time.Sleep(time.Millisecond)
		if t.check() != t.sum {
			return fmt.Errorf("a tree is not what it was")
		}
	}
	return nil
}

func mapWork(rnd *rand.Rand) error {
	m := make(map[uint64]string)
	for range 2000 {
		k := rnd.Uint64()
		m[k] = strconv.FormatUint(k, 36)
	}
	for k, v := range m {
		if got, err := strconv.ParseUint(v, 36, 64); err != nil || got != k {
			return fmt.Errorf("%d is %q", k, v)
		}
	}
	return nil
}

// deepWork makes the stack grow, by copying, and shrink.
func deepWork(rnd *rand.Rand) error {
	done := make(chan uint64)
	n := uint64(rnd.IntN(20000))
	go func() { done <- wayDown(n, [8]uint64{n}) }()
	if got := <-done; got != n*(n+1)/2+n {
		return fmt.Errorf("the way down %d frames gave %d", n, got)
	}
	return nil
}

//go:noinline
func wayDown(n uint64, pad [8]uint64) uint64 {
	if n == 0 {
		return pad[0]
	}
	pad[n%7+1] = n
	return wayDown(n-1, pad) + pad[n%7+1]
}

func goroutineWork(rnd *rand.Rand) error {
	var wg sync.WaitGroup
	sums := make(chan int, 200)
	for i := range 200 {
		wg.Go(func() {
			b := make([]int, 1+i)
			for j := range b {
				b[j] = i
			}
			runtime.Gosched()
			sum := 0
			for _, v := range b {
				sum += v
			}
			sums <- sum - i*(1+i)
		})
	}
	wg.Wait()
	for range 200 {
		if d := <-sums; d != 0 {
			return fmt.Errorf("a sum is off by %d", d)
		}
	}
	return nil
}

// pipeWork hands armed memory to system calls.
func pipeWork(rnd *rand.Rand) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	n := 1 + rnd.IntN(1<<20)
	out := make([]byte, n)
	for i := 0; i+8 <= n; i += 8 {
		binary.LittleEndian.PutUint64(out[i:], rnd.Uint64())
	}
	sum := crc32.ChecksumIEEE(out)
	go func() { w.Write(out); w.Close() }()
	in := make([]byte, n)
	if _, err := io.ReadFull(r, in); err != nil {
		return err
	}
	if crc32.ChecksumIEEE(in) != sum {
		return fmt.Errorf("%d bytes through a pipe are not what they were", n)
	}
	return nil
}

func signalWork(rnd *rand.Rand) error {
	c := make(chan os.Signal, 100)
	signal.Notify(c, syscall.SIGUSR1, syscall.SIGWINCH)
	defer signal.Stop(c)
	for range 50 {
		syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		syscall.Kill(os.Getpid(), syscall.SIGWINCH)
	}
	select {
	case <-c:
		return nil
	case <-time.After(testproc.Budget(hangBudget / 2)):
		return fmt.Errorf("no signal came")
	}
}

// threadWork starts threads and ends them.
func threadWork(rnd *rand.Rand) error {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			runtime.LockOSThread() // and never unlocked: it ends with the goroutine
			time.Sleep(time.Millisecond)
		})
	}
	wg.Wait()
	return nil
}

// execWork starts a program, by vfork.
func execWork(rnd *rand.Rand) error {
	want := strconv.Itoa(rnd.IntN(1 << 30))
	out, err := exec.Command("/bin/echo", want).Output()
	if err != nil || string(out) != want+"\n" {
		return fmt.Errorf("echo %s: %q, %v", want, out, err)
	}
	return nil
}
