//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Memory in huge pages is observed page by page, and is what it was.
func TestGoHeapHugePages(t *testing.T) {
	inChild(t, "TestGoHeapHugePages", "all", nil, func(t *testing.T) {
		const n = 1 << 18 // 16 MiB
		debug.SetGCPercent(-1)
		h := heapList(n)
		pages := h.pages()
		p := newProfiler(t, WithLogLimit(1<<20))
		huge := 0
		for round := range 4 {
			blocks := make(map[uintptr]bool)
			for page := range pages {
				blocks[page*uintptr(pageSize)/heapBlock*heapBlock] = true
			}
			for b := range blocks {
				const collapse = 25 // MADV_COLLAPSE
				if _, _, e := unix.Syscall(unix.SYS_MADVISE, b, heapBlock, collapse); e == 0 {
					huge++
				}
			}
			if round == 0 && huge == 0 {
				t.Skip("memory cannot be collapsed into huge pages here (MADV_COLLAPSE)")
			}
			r := attachHeap(t, p, WithHeapShare(1), WithName(fmt.Sprint("heap ", round)))
			for range 3 {
				before := p.Snapshot()
				rearm(t, r)
				if !walkHeap(h, n) {
					t.Fatal("the list is not what it was")
				}
				s := p.Snapshot().Sub(before)
				if others := touchesOf(s).check(t, s, pages, ActorProgram, "walkHeap"); others > 8 {
					t.Errorf("%d of %d pages are somebody else's", others, len(pages))
				}
			}
			if left := p.Snapshot().Regions[r.ID()].Left; left > 0 {
				t.Errorf("%d pages could not be moved", left)
			}
			closeBusy(t, r.Close)
			if !walkHeap(h, n) {
				t.Fatal("afterwards the list is not what it was")
			}
		}
		t.Logf("%d huge pages", huge)
	})
}

// Afterwards the heap's mappings are what they were.
func TestGoHeapLeavesNoTrace(t *testing.T) {
	inChild(t, "TestGoHeapLeavesNoTrace", "all", nil, func(t *testing.T) {
		debug.SetGCPercent(-1)
		keep := heapList(1 << 18)
		fill(make([]byte, 64<<20), 1) // room for what comes
		runtime.GC()
		lo := uintptr(unsafe.Pointer(keep)) / heapArena * heapArena
		mappings := func() (n int, dontfork bool) {
			for _, m := range lines(t, lo-heapArena, lo+4*heapArena) {
				if m.prot == unix.PROT_READ|unix.PROT_WRITE {
					n++
					at, err := smapAt(m.lo)
					dontfork = dontfork || err == nil && at.has("dc")
				}
			}
			return n, dontfork
		}
		// registered lists what userfaultfd has of the heap, for missing pages, write protection or minor faults.
		registered := func() (list []string) {
			if err := eachSmap(func(m *smap) bool {
				if m.lo < lo+4*heapArena && lo-heapArena < m.hi && (m.has("um") || m.has("uw") || m.has("ui")) {
					list = append(list, fmt.Sprintf("%x-%x%s", m.lo, m.hi, m.flags))
				}
				return true
			}); err != nil {
				t.Fatal(err)
			}
			return list
		}
		before, _ := mappings()
		p := newProfiler(t)
		if list := registered(); len(list) != 0 {
			t.Errorf("registered before it is attached: %q", list)
		}
		for _, share := range []float64{1, 0.3} {
			r := attachHeap(t, p, WithHeapShare(share), WithName(fmt.Sprint("heap ", share)))
			for range 3 {
				walkHeap(keep, 1<<18)
				rearm(t, r)
			}
			if during, dontfork := mappings(); !dontfork {
				t.Errorf("%d mappings while it is armed, and children have them", during)
			}
			if len(registered()) == 0 {
				t.Error("nothing is registered while it is armed")
			}
			closeBusy(t, r.Close)
			if list := registered(); len(list) != 0 {
				t.Errorf("still registered after a share of %v: %q", share, list)
			}
			if after, dontfork := mappings(); after > before+1 || dontfork {
				t.Errorf("%d mappings before, %d after a share of %v, absent in children: %v", before, after, share, dontfork)
			}
		}
	})
}

// A child that is forked without sharing memory, for a user namespace of its own, has no such memory: it ends
// loudly, and never runs with zeros.
func TestGoHeapAbsentInForkedChild(t *testing.T) {
	inChild(t, "TestGoHeapAbsentInForkedChild", "all", nil, func(t *testing.T) {
		start := func() error {
			c := exec.Command("/bin/true")
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
			return c.Run()
		}
		if err := start(); err != nil {
			t.Skipf("a process in a user namespace of its own is not permitted: %v", err)
		}
		p := newProfiler(t)
		r := attachHeap(t, p, WithHeapShare(1))
		err := start()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGSEGV {
			t.Errorf("the child ended with %v, want SIGSEGV", err)
		}
		if err := exec.Command("/bin/true").Run(); err != nil { // by vfork
			t.Error(err)
		}
		closeBusy(t, r.Close)
		if err := start(); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// What makes it unsafe is refused, with the reason.
func TestGoHeapRefused(t *testing.T) {
	p := newProfiler(t)
	if p.Snapshot().Stats.UserModeOnly {
		if _, err := p.AttachGoHeap(); !errors.Is(err, ErrNotSupported) || !strings.Contains(err.Error(), "user mode") {
			t.Errorf("user mode only: %v", err)
		}
		return
	}
	if _, err := p.AttachGoHeap(WithHeapShare(2)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a share of 2: %v", err)
	}
	if _, err := p.AttachGoHeap(WithWritesOnly()); !errors.Is(err, ErrNotSupported) {
		t.Errorf("writes only: %v", err)
	}
	t.Run("hard decommit", func(t *testing.T) {
		t.Setenv("GODEBUG", "harddecommit=1")
		if _, err := p.AttachGoHeap(); !errors.Is(err, ErrNotSupported) {
			t.Errorf("%v", err)
		}
	})
	inChild(t, "TestGoHeapRefused", "twice", nil, func(t *testing.T) {
		r := attachHeap(t, p)
		if _, err := p.AttachGoHeap(WithName("again")); !errors.Is(err, ErrRegistered) {
			t.Errorf("twice: %v", err)
		}
		closeBusy(t, r.Close)
		closeBusy(t, attachHeap(t, p).Close)
	})
}

// Whether memory is Go's heap is told without pointers into it: the garbage collector ends the process for one
// to an object that is free.
func TestHeapIsKnownWithoutPointers(t *testing.T) {
	inChild(t, "TestHeapIsKnownWithoutPointers", "all", []string{"GOGC=1", "GODEBUG=invalidptr=1"}, func(t *testing.T) {
		p := newProfiler(t)
		collecting(t)
		for i := range 60 {
			list, err := p.Mappings()
			if err != nil {
				t.Fatal(err)
			}
			h := heapList(1000)
			at := uintptr(unsafe.Pointer(h))
			for _, m := range list {
				if in := m.Start <= at && at < m.End; in != (m.Kind == MappingGo) && in {
					t.Fatalf("round %d: an object at %#x is in %+v", i, at, m)
				}
			}
			if _, err := p.AttachRange("heap", at, at+1<<20); !errors.Is(err, ErrNotSupported) {
				t.Fatalf("round %d: %v", i, err)
			}
			runtime.KeepAlive(h)
		}
	})
}

// Delivery by signal is refused: signal stacks lie in the heap.
func TestGoHeapRefusedWithDeliveryBySignal(t *testing.T) {
	p := newProfiler(t, WithDelivery(DeliverySignal))
	if _, err := p.AttachGoHeap(); !errors.Is(err, ErrNotSupported) {
		t.Errorf("%v", err)
	}
}
