//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// A process that may lock little has what it may not: a placeholder, and the engine's memory, do not count in
// RLIMIT_MEMLOCK, and what has to is refused by name.
func TestLockedLimit(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector needs to map more memory than may be locked here")
	}
	const limit, large, touched = 8 << 20, 64 << 20, 32 // the limit is the kernel's for everybody
	if os.Getenv(caseEnv) == "" {
		var stack unix.Rlimit // with cgo it is also what a thread's stack takes
		must(t, unix.Getrlimit(unix.RLIMIT_STACK, &stack))
		must(t, unix.Setrlimit(unix.RLIMIT_STACK, &unix.Rlimit{Cur: 256 << 10, Max: stack.Max}))
		defer unix.Setrlimit(unix.RLIMIT_STACK, &stack)
		opts := []testproc.Option{}
		if os.Getuid() == 0 {
			opts = append(opts, testproc.AsUser(nobody)) // without CAP_IPC_LOCK
		}
		for _, d := range []Delivery{DeliveryThread, DeliverySignal} {
			t.Run(d.String(), func(t *testing.T) {
				testproc.Run(t, "TestLockedLimit", []string{caseEnv + "=limit", testproc.DeliveryEnv + "=" + d.String()}, hangBudget, opts...)
			})
		}
		return
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "large")
	must(t, os.WriteFile(path, contents(touched*pageSize), 0o600))
	must(t, os.Truncate(path, large))
	b := mapFile(t, path, large, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	var old unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_MEMLOCK, &old))
	if old.Max < limit {
		t.Skipf("memory cannot be locked here: RLIMIT_MEMLOCK is %d", old.Max)
	}
	must(t, unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: limit, Max: old.Max}))
	ballast := make([]byte, 32<<20) // the runtime's heap has room from now on
	clear(ballast)
	ballast = nil
	runtime.GC()
	p := newProfiler(t)
	must(t, unix.Mlockall(mclFuture))
	r, err := attached(func() (*Region, error) { return p.AttachFile(path) })
	must(t, err)
	want := contents(touched * pageSize)
	for round := range 2 {
		if i := different(b[:len(want)], want); i >= 0 {
			t.Fatalf("byte %d is %d, want %d", i, b[i], want[i])
		}
		for i := range touched {
			page(b, i)[7]++
			page(want, i)[7]++
		}
		if n := p.Snapshot().Regions[r.ID()].Faults; n != uint64(touched*(round+1)) {
			t.Errorf("%d faults, want %d", n, touched*(round+1))
		}
		closeBusy(t, r.Rearm)
	}
	small := newArena(t, p, "small", 1<<20)
	if _, some, all := locksOf(t, small.Bytes()); !some || !all {
		t.Error("a new arena is not locked, as all new memory is to be")
	}
	clear(small.Bytes())
	if n := p.Snapshot().Regions[small.ID()].Faults; n != uint64(len(small.Bytes())/pageSize) {
		t.Errorf("%d faults of the arena", n)
	}
	_, err = p.NewArena("large", large)
	wantError(t, "an arena larger than may be locked", err, ErrLocked, "RLIMIT_MEMLOCK", "MCL_FUTURE")
	if n := lockedTotal(t); n > limit {
		t.Errorf("%d bytes are locked of %d", n, limit)
	}
	closeBusy(t, r.Close)
	closeBusy(t, small.Close)
	must(t, patiently(p.Close))
	_, err = New(WithDelivery(testDelivery()), WithFailingSystemCalls())
	wantError(t, "a profiler where the Go runtime may map little", err, ErrLocked, "RLIMIT_MEMLOCK", "MCL_FUTURE")
	if i := different(b[:len(want)], want); i >= 0 {
		t.Errorf("given back: byte %d is %d, want %d", i, b[i], want[i])
	}
	checkLockedTotal(t, "given back")
	must(t, unix.Munlockall())
}

// What a file that is locked on fault had touched is held in memory while a placeholder covers it, and mapped again when
// that goes.
func TestLockedOnFaultIsHeld(t *testing.T) {
	inChildren(t, "TestLockedOnFaultIsHeld", "all", nil, func(t *testing.T) {
		skipWithoutLocks(t, false)
		const pages, touched = 64, 24
		p := newProfiler(t)
		path := newFile(t, pages*pageSize)
		b := mapFile(t, path, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
		must(t, unix.Madvise(b, unix.MADV_RANDOM)) // few pages are mapped that were not touched
		must(t, mlock2(b, unix.MLOCK_ONFAULT))
		resident := func(lo uintptr) (n int) {
			t.Helper()
			pagemap, err := uffd.OpenPagemap(0)
			must(t, err)
			defer pagemap.Close()
			entries := make([]uffd.PagemapEntry, pages)
			must(t, pagemap.Entries(uffd.Addr(lo), entries))
			for _, e := range entries {
				if e.Present() {
					n++
				}
			}
			return n
		}
		for i := range touched {
			wordAt(t, b, i*pageSize)
		}
		before := resident(addressOf(b))
		r := attach(t, p, path)
		held, want := r.maps[0].Alias(), 0 // pages that are mapped of what is armed
		if testDelivery() == DeliverySignal {
			held, want = addressOf(b), before // only the access is taken away
		}
		if n := resident(addressOf(b)); n != want {
			t.Errorf("%d pages are mapped of what is armed, want %d", n, want)
		}
		at, err := smapAt(held)
		must(t, err)
		if n := resident(held); n < before || at.lock() != lockOnFault { // more where the kernel maps neighbours
			t.Errorf("%d pages are held, %d were touched; held by %s", n, before, at.flags)
		}
		closeBusy(t, r.Close)
		if n := resident(addressOf(b)); n < before {
			t.Errorf("%d pages are mapped again, %d were touched", n, before)
		}
		if text, _, all := locksOf(t, b); !all {
			t.Errorf("given back: %s", text)
		}
		checkLockedTotal(t, "given back")
		if i := different(b, contents(len(b))); i >= 0 {
			t.Errorf("byte %d is %d", i, b[i])
		}
	})
}

// Nothing but the engine puts a page where memory is armed, whatever the process, or another one, has the kernel do. By signal
// a file's own pages may be there while it is armed: its access is taken away, and stays so.
func TestNothingFillsArmedMemory(t *testing.T) {
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Skipf("pidfd_open: %v", err)
	}
	defer unix.Close(self)
	other := func(advice int) func(b []byte) error {
		return func(b []byte) error {
			iov := unix.Iovec{Base: unsafe.SliceData(b), Len: uint64(len(b))}
			pid, err := unix.PidfdOpen(os.Getpid(), 0)
			if err != nil {
				return err
			}
			defer unix.Close(pid)
			if _, _, n := unix.Syscall6(unix.SYS_PROCESS_MADVISE, uintptr(pid), uintptr(unsafe.Pointer(&iov)), 1, uintptr(advice), 0, 0); n != 0 {
				return n
			}
			return nil
		}
	}
	advise := func(advice int) func(b []byte) error {
		return func(b []byte) error { return unix.Madvise(b, advice) }
	}
	ways := []struct {
		name string
		do   func(b []byte) error
	}{
		{"MADV_POPULATE_READ", advise(unix.MADV_POPULATE_READ)},
		{"MADV_POPULATE_WRITE", advise(unix.MADV_POPULATE_WRITE)},
		{"MADV_WILLNEED", advise(unix.MADV_WILLNEED)},
		{"MADV_HUGEPAGE and MADV_COLLAPSE", func(b []byte) error {
			return errors.Join(unix.Madvise(b, unix.MADV_HUGEPAGE), unix.Madvise(b, unix.MADV_COLLAPSE))
		}},
		{"MADV_MERGEABLE", func(b []byte) error {
			return errors.Join(unix.Madvise(b, unix.MADV_MERGEABLE), other(unix.MADV_COLD)(b))
		}},
		{"process_madvise(MADV_WILLNEED)", other(unix.MADV_WILLNEED)},
		{"process_madvise(MADV_PAGEOUT)", other(unix.MADV_PAGEOUT)},
		{"process_madvise(MADV_COLLAPSE)", other(unix.MADV_COLLAPSE)},
		{"mlock and munlock", func(b []byte) error { return errors.Join(unix.Mlock(b), unix.Munlock(b)) }},
		{"mlock2 with MLOCK_ONFAULT, mprotect and munlock", func(b []byte) error {
			return errors.Join(mlock2(b, unix.MLOCK_ONFAULT), unix.Mprotect(b, unix.PROT_READ), unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE), unix.Munlock(b))
		}},
		{"mlockall with MCL_CURRENT and MCL_ONFAULT, mprotect and munlockall", func(b []byte) error {
			return errors.Join(unix.Mlockall(mclCurrent|mclOnfault), unix.Mprotect(b, unix.PROT_NONE), unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE), unix.Munlockall())
		}},
		{"move_pages", func(b []byte) error {
			at, node, status := addressOf(b), int32(0), int32(0)
			if _, _, n := unix.Syscall6(unix.SYS_MOVE_PAGES, 0, 1, uintptr(unsafe.Pointer(&at)), uintptr(unsafe.Pointer(&node)), uintptr(unsafe.Pointer(&status)), 0); n != 0 {
				return n
			}
			return nil
		}},
		{"a child", func([]byte) error { return runTrue(nil) }},
	}
	inChildren(t, "TestNothingFillsArmedMemory", "all", nil, func(t *testing.T) {
		const pages = 520 // a huge page, and more
		p := newProfiler(t, WithLogLimit(1<<20))
		path := newFile(t, pages*pageSize)
		b := mapFile(t, path, pages*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		file := attach(t, p, path)
		for _, way := range ways {
			arena := newArena(t, p, way.name, pages*pageSize)
			for _, a := range []*armed{{region: file, memory: b, want: contents(pages * pageSize)}, {region: arena, memory: arena.Bytes(), want: make([]byte, pages*pageSize)}} {
				before := p.Snapshot()
				if err := way.do(a.memory); err != nil {
					t.Logf("seen: %s: %v", way.name, err)
				}
				pagemap, err := uffd.OpenPagemap(0)
				must(t, err)
				entries := make([]uffd.PagemapEntry, pages)
				must(t, pagemap.Entries(uffd.Addr(addressOf(a.memory)), entries))
				must(t, pagemap.Close())
				for i, e := range entries {
					if a.region == file && testDelivery() == DeliverySignal {
						break
					}
					lo := addressOf(a.memory) + uintptr(i*pageSize)
					if _, _, ok := a.region.maps[0].FirstArmed(lo, lo+uintptr(pageSize)); ok && (e.Present() || e.Swapped()) {
						t.Fatalf("%s: %s: page %d is armed, and there", way.name, a.region.Name(), i)
					}
				}
				if i := different(a.memory, a.want); i >= 0 {
					t.Fatalf("%s: %s: byte %d is %d, want %d", way.name, a.region.Name(), i, a.memory[i], a.want[i])
				}
				if s := p.Snapshot().Sub(before); s.Regions[a.region.ID()].Faults != pages {
					t.Errorf("%s: %s: %d faults, want %d", way.name, a.region.Name(), s.Regions[a.region.ID()].Faults, pages)
				}
			}
			closeBusy(t, arena.Close)
			closeBusy(t, file.Rearm)
		}
	})
}

// Locks that come and go while memory is touched and armed again do no harm, to what it holds or to who waits.
func TestLocksInAStorm(t *testing.T) {
	aside(t)
	inChildren(t, "TestLocksInAStorm", "all", nil, func(t *testing.T) {
		skipWithoutLocks(t, false)
		const pages = 128
		p := newProfiler(t, WithRescan(testRescan), WithLogLimit(1<<20))
		all := arm(t, p, pages)
		copy(all[0].memory, all[1].want)
		copy(all[0].want, all[1].want)
		if testDelivery() == DeliveryThread {
			m := mapMemory(t, pages)
			all = append(all, &armed{region: attachMemory(t, p, m), memory: m, want: contents(len(m))})
		}
		var end atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			flags := []int{mclCurrent | mclOnfault, mclCurrent | mclFuture | mclOnfault, mclFuture | mclOnfault}
			if !raceEnabled {
				flags = append(flags, mclCurrent, mclFuture)
			}
			for i := 0; !end.Load(); i++ {
				if err := unix.Mlockall(flags[i%len(flags)]); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Millisecond)
				must(t, unix.Munlockall())
				time.Sleep(3 * time.Millisecond)
			}
		})
		wg.Go(func() {
			for i := 0; !end.Load(); i++ {
				part := page(all[i%len(all)].memory, i%pages)
				unix.Mlock(part) // ENOMEM where faults of system calls are not served
				unix.Munlock(part)
				time.Sleep(100 * time.Microsecond)
			}
		})
		armed, refused := 0, 0
		most := testproc.Budget(hangBudget / 2) // on a busy machine nobody may have time for it at first
		for start := time.Now(); time.Since(start) < time.Duration(testproc.Times(1, 20))*time.Second || armed == 0 && time.Since(start) < most; {
			for _, a := range all {
				for i := range pages {
					if d := different(page(a.memory, i), page(a.want, i)); d >= 0 {
						t.Fatalf("%s: byte %d of page %d is %d, want %d", a.region.Name(), d, i, page(a.memory, i)[d], page(a.want, i)[d])
					}
					page(a.memory, i)[11]++
					page(a.want, i)[11]++
				}
				switch err := a.region.Rearm(); {
				case err == nil:
					armed++
				case errors.Is(err, ErrLocked), errors.Is(err, ErrBusy), strings.Contains(err.Error(), "different protection"):
					refused++
				default:
					t.Errorf("arm again: %v", err)
				}
			}
		}
		end.Store(true)
		wg.Wait()
		for _, a := range all {
			if i := different(a.memory, a.want); i >= 0 {
				t.Errorf("%s: byte %d is %d, want %d", a.region.Name(), i, a.memory[i], a.want[i])
			}
		}
		if armed == 0 {
			t.Error("nothing was armed again")
		}
		t.Logf("seen: armed again %d times, and refused %d times", armed, refused)
	})
}

// The Go heap of a process that locks its memory is refused, and what is locked while it is armed comes back.
func TestLockedGoHeap(t *testing.T) {
	inChild(t, "TestLockedGoHeap", "all", []string{testproc.DeliveryEnv + "=" + DeliveryThread.String()}, func(t *testing.T) {
		skipWithoutLocks(t, true)
		p := newProfiler(t)
		keep := make([][]byte, 2000)
		for i := range keep {
			keep[i] = contents(4 << 10)
		}
		must(t, unix.Mlockall(mclCurrent|mclOnfault))
		_, err := p.AttachGoHeap(WithHeapShare(1))
		wantError(t, "locked", err, ErrLocked, "munlock")
		must(t, unix.Munlockall())
		r, err := p.AttachGoHeap(WithHeapShare(1))
		if errors.Is(err, ErrNotSupported) {
			t.Skip(err)
		}
		must(t, err)
		must(t, unix.Mlockall(mclCurrent))
		wantError(t, "armed again", r.Rearm(), ErrLocked, "munlock")
		closeBusy(t, r.Close)
		if text, _, all := locksOf(t, keep[0]); !all {
			t.Errorf("not locked any more: %s", text)
		}
		checkLockedTotal(t, "given back")
		must(t, unix.Munlockall())
		want := contents(4 << 10)
		for i := range keep {
			if d := different(keep[i], want); d >= 0 {
				t.Fatalf("byte %d of object %d is %d", d, i, keep[i][d])
			}
		}
	})
}
