//go:build linux && (amd64 || arm64)

package profiler

import (
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// others are signals that are not the engine's, and what becomes of them in a Go program. Each makes one
// more than once, so that a handler that answers only the first fails.
var others = []struct {
	name string
	make func(t *testing.T, p *Profiler)
	dies string // what the process says when it dies of it, "" when it lives
}{
	{"truncated file", func(t *testing.T, p *Profiler) {
		b := truncated(t)
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		for range 3 {
			wantFault(t, func() { sink = b[pageSize] }, addressOf(b)+uintptr(pageSize))
			wantFault(t, func() { b[pageSize+1] = 1 }, addressOf(b)+uintptr(pageSize)+1)
			wantFault(t, func() { copy(make([]byte, 100), b[pageSize:]) }, addressOf(b)+uintptr(pageSize))
		}
	}, ""},
	{"attached file that is truncated", func(t *testing.T, p *Profiler) {
		path := newFile(t, 8*pageSize)
		b := mapFile(t, path, 8*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		attach(t, p, path)
		wordAt(t, b, 0)
		wordAt(t, b, 5*pageSize)
		if err := os.Truncate(path, int64(4*pageSize)); err != nil {
			t.Fatal(err)
		}
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		for range 3 {
			for page := 4; page < 8; page++ { // touched before, and not
				wantFault(t, func() { sink = b[page*pageSize+7] }, addressOf(b)+uintptr(page*pageSize)+7)
			}
		}
		wordAt(t, b, 3*pageSize)
	}, ""},
	{"somebody else's mapping where a region was", func(t *testing.T, p *Profiler) {
		path := newFile(t, 8*pageSize)
		b := mapFile(t, path, 8*pageSize, unix.PROT_READ, unix.MAP_SHARED)
		attach(t, p, path)
		wordAt(t, b, 0)
		mapOver(t, addressOf(b), 8*pageSize)
		a := newArena(t, p, "arena", 8*pageSize).Bytes()
		a[0] = 1
		mapOver(t, addressOf(a), 8*pageSize)
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		before := p.Snapshot().Stats.Faults
		for range 3 {
			for page := range 8 {
				wantFault(t, func() { sink = b[page*pageSize] }, addressOf(b)+uintptr(page*pageSize))
				wantFault(t, func() { sink = a[page*pageSize] }, addressOf(a)+uintptr(page*pageSize))
			}
		}
		if n := p.Snapshot().Stats.Faults; n != before {
			t.Errorf("%d faults of memory that is not the profiler's", n-before)
		}
	}, ""},
	{"nil dereference", func(t *testing.T, p *Profiler) {
		var nothing *[16]byte
		defer func() {
			if err, ok := recover().(error); !ok || !strings.Contains(err.Error(), "nil pointer dereference") {
				t.Errorf("recovered %v", err)
			}
		}()
		sink = nothing[8]
	}, ""},
	{"notified", func(t *testing.T, p *Profiler) {
		got := make(chan os.Signal, 8)
		signal.Notify(got, unix.SIGBUS)
		a := newArena(t, p, "arena", 8*pageSize).Bytes()
		for i := range 4 {
			a[i*pageSize] = 1
			kill(t, unix.SIGBUS)
			select {
			case s := <-got:
				if s != unix.SIGBUS {
					t.Errorf("notified of %v", s)
				}
			case <-time.After(testproc.Budget(10 * time.Second)):
				t.Fatal("a SIGBUS that was sent was not notified")
			}
		}
		signal.Stop(got)
	}, ""},
	{"fatal fault", func(t *testing.T, p *Profiler) { sink = truncated(t)[pageSize] }, "fatal error: fault\n[signal SIGBUS: bus error"},
	{"sent and not notified", func(t *testing.T, p *Profiler) {
		kill(t, unix.SIGBUS)
		time.Sleep(testproc.Budget(10 * time.Second))
	}, "SIGBUS: bus error"},
}

// A SIGBUS that is not the engine's does what it did without: the same panic with the same address, the
// same end of the process, the same notification.
func TestOtherSignalsAreAsBefore(t *testing.T) {
	const top = "TestOtherSignalsAreAsBefore"
	if name := os.Getenv(caseEnv); name != "" {
		for _, o := range others {
			if o.name == name {
				p := newProfiler(t, WithDelivery(DeliverySignal))
				newArena(t, p, "busy", 64*pageSize).Bytes()[5] = 1
				o.make(t, p)
			}
		}
		return
	}
	for _, o := range others {
		t.Run(o.name, func(t *testing.T) {
			env := []string{caseEnv + "=" + o.name}
			if o.dies == "" {
				testproc.Run(t, top, env, hangBudget)
				return
			}
			r := testproc.Do(t, top, env, hangBudget)
			if strings.Contains(r.Out, "--- SKIP") {
				t.Skip(r.Out)
			}
			if r.TimedOut || r.Err == nil || !strings.Contains(r.Out, o.dies) {
				t.Errorf("the process ended with %v, and without %q:\n%s", r.Err, o.dies, r.Out)
			}
		})
	}
}

// truncated maps two pages of a file that has one.
func truncated(t *testing.T) []byte {
	t.Helper()
	path := newFile(t, 2*pageSize)
	b := mapFile(t, path, 2*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err := os.Truncate(path, int64(pageSize)); err != nil {
		t.Fatal(err)
	}
	return b
}

// mapOver puts a file without a page in the place of what is there.
func mapOver(t *testing.T, addr uintptr, size int) {
	t.Helper()
	fd, err := unix.MemfdCreate("over", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, _, e := unix.Syscall6(unix.SYS_MMAP, addr, uintptr(size), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_SHARED|unix.MAP_FIXED, uintptr(fd), 0); e != 0 {
		t.Fatal(e)
	}
}

// wantFault wants the panic of a fault at an address.
func wantFault(t *testing.T, f func(), addr uintptr) {
	t.Helper()
	defer func() {
		t.Helper()
		err, ok := recover().(interface {
			error
			Addr() uintptr
		})
		if !ok || err.Addr() != addr {
			t.Errorf("recovered %v, want a fault at %#x", err, addr)
		}
	}()
	f()
}

// With delivery by signal the engine has a handler that stays, and one that is put in front of it is
// reported.
func TestHandlerInFront(t *testing.T) {
	inChild(t, "TestHandlerInFront", "in front", nil, func(t *testing.T) {
		p := newProfiler(t, WithDelivery(DeliverySignal), WithRescan(time.Millisecond))
		a := newArena(t, p, "arena", 8*pageSize).Bytes()
		a[0] = 1
		// struct sigaction, include/linux/signal_types.h: the handler is the first word.
		ignore := [4]uintptr{1} // SIG_IGN
		if _, _, e := unix.Syscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGBUS), uintptr(unsafe.Pointer(&ignore)), 0, 8, 0, 0); e != 0 {
			t.Fatal(e)
		}
		deadline := time.Now().Add(testproc.Budget(10 * time.Second))
		for !strings.Contains(strings.Join(p.Snapshot().Stats.Notes, "\n"), "SIGBUS") {
			if time.Now().After(deadline) {
				t.Fatalf("no note of the handler: %q", p.Snapshot().Stats.Notes)
			}
			time.Sleep(time.Millisecond)
		}
	})
}
