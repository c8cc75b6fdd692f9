//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"errors"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/firsttouch/firsttouch/internal/engine"
	"golang.org/x/sys/unix"
)

// takenCases are what an owner does to a mapping whose access is taken away. Each runs with guard markers, where the
// kernel has them, and without.
var takenCases = []struct {
	name string
	run  func(t *testing.T, p *Profiler, guards bool)
}{
	{"storm", func(t *testing.T, p *Profiler, _ bool) {
		const pages, rounds, touchers = 600, 3, 8
		b, r := takenFile(t, p, pages, unix.PROT_READ)
		want := bytes.Clone(contents(len(b)))
		for round := range rounds {
			before := p.Snapshot().Stats.Faults
			var wg sync.WaitGroup
			for g := range touchers {
				wg.Go(func() {
					for i := range pages { // all of them come to each page
						lo := (i + g*pages/touchers/2) % pages * pageSize
						if !bytes.Equal(bytes.Clone(b[lo:lo+pageSize]), want[lo:lo+pageSize]) {
							t.Errorf("round %d, page %d: wrong contents", round, lo/pageSize)
						}
						if i%64 == g {
							runtime.GC()
						}
					}
				})
			}
			wg.Wait()
			if n := p.Snapshot().Stats.Faults - before; n != pages {
				t.Errorf("round %d: %d faults, want %d", round, n, pages)
			}
			closeBusy(t, r.Rearm)
		}
	}},
	{"rights", func(t *testing.T, p *Profiler, guards bool) {
		const pages = 8
		read, r := takenFile(t, p, pages, unix.PROT_READ)
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		for _, page := range []int{2, 3} { // armed, and open
			if page == 3 {
				wordAt(t, read, page*pageSize)
			}
			at, ok := faulted(func() { read[page*pageSize+5] = 1 })
			if !ok || at != addressOf(read)+uintptr(page*pageSize+5) {
				t.Errorf("page %d, which may only be read: a write gave a fault at %#x (%v)", page, at, ok)
			}
		}
		if n := p.Snapshot().Stats.Faults; n != 1 {
			t.Errorf("%d faults, want 1: what is not allowed is no first touch", n)
		}
		// Writable now, in part: the owner's word stands, in what is armed too.
		must(t, unix.Mprotect(read[4*pageSize:6*pageSize], unix.PROT_NONE))
		if guards { // else it cannot be told, see docs/limits.md
			if _, ok := faulted(func() { sink = read[4*pageSize] }); !ok {
				t.Error("a page whose owner has taken the access from was read")
			}
		}
		must(t, unix.Mprotect(read[4*pageSize:6*pageSize], unix.PROT_READ))
		for page := range pages {
			wordAt(t, read, page*pageSize)
		}
		closeBusy(t, r.Close)
		for page := range pages {
			wordAt(t, read, page*pageSize)
			if _, ok := faulted(func() { read[page*pageSize] = 1 }); !ok {
				t.Errorf("given back: page %d can be written to", page)
			}
		}
	}},
	{"writes", func(t *testing.T, p *Profiler, _ bool) {
		const pages = 64
		b, r := takenFile(t, p, pages, unix.PROT_READ|unix.PROT_WRITE)
		for i := range pages {
			if i%2 == 0 {
				sink = b[i*pageSize]
			}
			b[i*pageSize+9] = byte(i)
		}
		s := p.Snapshot()
		if s.Stats.Faults != pages {
			t.Errorf("%d faults, want %d", s.Stats.Faults, pages)
		}
		for _, f := range s.Faults {
			want := Write
			if f.Offset/int64(pageSize)%2 == 0 {
				want = Read
			}
			if f.Access != want {
				t.Errorf("page %d: %v, want %v", f.Offset/int64(pageSize), f.Access, want)
			}
		}
		closeBusy(t, r.Close)
		for i := range pages {
			if b[i*pageSize+9] != byte(i) {
				t.Errorf("page %d lost what was written", i)
			}
		}
	}},
	{"forked", func(t *testing.T, p *Profiler, _ bool) {
		const pages = 64
		b, _ := takenFile(t, p, pages, unix.PROT_READ|unix.PROT_WRITE)
		for i := range pages / 2 {
			wordAt(t, b, 2*i*pageSize)
		}
		before := p.Snapshot().Stats.Faults
		if status := sumInChild(t, b); status != 0 {
			t.Errorf("the child ended with status %#x", status)
		}
		if n := p.Snapshot().Stats.Faults; n != before {
			t.Errorf("the child's touches are counted: %d", n-before)
		}
		for i := range pages {
			wordAt(t, b, i*pageSize)
		}
		if n := p.Snapshot().Stats.Faults; n != pages {
			t.Errorf("%d faults, want %d", n, pages)
		}
	}},
	{"moved", func(t *testing.T, p *Profiler, _ bool) {
		const pages = 16
		b, r := takenFile(t, p, pages, unix.PROT_READ)
		to, err := unix.MremapPtr(ptrOf(b), uintptr(len(b)), nil, uintptr(len(b)), unix.MREMAP_MAYMOVE|unix.MREMAP_DONTUNMAP)
		if err != nil { // file mappings since Linux 5.13
			to = ptrOf(b)
			t.Logf("left out: MREMAP_DONTUNMAP: %v", err)
		}
		m := bytesAt(to, len(b))
		for page := range pages {
			wordAt(t, m, page*pageSize)
		}
		closeBusy(t, r.Close)
		for page := range pages {
			wordAt(t, m, page*pageSize)
			wordAt(t, b, page*pageSize)
		}
	}},
	{"discarded and punched", func(t *testing.T, p *Profiler, _ bool) {
		const pages = 16
		probe := mapFile(t, newFile(t, pageSize), pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		must(t, unix.Mprotect(probe, unix.PROT_NONE))
		if err := unix.Madvise(probe, unix.MADV_REMOVE); err != nil { // it may want the right to write, or another file system
			t.Skipf("MADV_REMOVE, with no access and without the profiler: %v", err)
		}
		b, _ := takenFile(t, p, pages, unix.PROT_READ|unix.PROT_WRITE)
		b[0] = 1
		must(t, unix.Madvise(b, unix.MADV_DONTNEED)) // the file has the contents
		must(t, unix.Madvise(b[8*pageSize:], unix.MADV_REMOVE))
		for page := range pages {
			switch got := b[page*pageSize : (page+1)*pageSize]; {
			case page >= 8 && !bytes.Equal(got, make([]byte, pageSize)):
				t.Errorf("page %d is not the hole that its owner made", page)
			case page > 0 && page < 8:
				wordAt(t, b, page*pageSize)
			}
		}
		if n := p.Snapshot().Stats.Faults; n != pages {
			t.Errorf("%d faults, want %d", n, pages)
		}
	}},
	{"another mapping there", func(t *testing.T, p *Profiler, _ bool) {
		const pages = 16
		b, r := takenFile(t, p, pages, unix.PROT_READ)
		wordAt(t, b, 0)
		// As below a stack: what is private and without access stays so.
		_, err := unix.MmapPtr(-1, 0, ptrOf(b[4*pageSize:]), uintptr(4*pageSize), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED)
		must(t, err)
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		check := func(what string) {
			t.Helper()
			for page := 4; page < 8; page++ {
				if _, ok := faulted(func() { sink = b[page*pageSize] }); !ok {
					t.Errorf("%s: page %d of somebody else's, which has no access, was read", what, page)
				}
			}
		}
		check("armed")
		wordAt(t, b, 9*pageSize)
		closeBusy(t, r.Close)
		check("given back")
		wordAt(t, b, 10*pageSize)
	}},
	{"refused later", func(t *testing.T, p *Profiler, guards bool) {
		const pages = 64
		b, _ := takenFile(t, p, pages, unix.PROT_READ)
		wordAt(t, b, 0)
		if guards {
			refuseWhere(t, unix.SYS_MADVISE, 2, guardRemove, unix.EPERM)
		} else {
			refuseWhere(t, unix.SYS_MPROTECT, 2, unix.PROT_READ, unix.EPERM)
		}
		for page := range pages {
			wordAt(t, b, page*pageSize) // mapped anew by its path
		}
		if s := p.Snapshot(); s.Stats.Faults != pages || s.Stats.ResolveErrs == 0 || len(s.Stats.Notes) < 2 {
			t.Errorf("%d faults, %d refused (%s), notes %q", s.Stats.Faults, s.Stats.ResolveErrs, s.Stats.LastError, s.Stats.Notes)
		}
		leave(t)
	}},
	{"locked in part", func(t *testing.T, p *Profiler, _ bool) {
		const pages, locked = 64, 8 // from page 16 on: the kernel refuses markers there
		b, r := takenFile(t, p, pages, unix.PROT_READ)
		part := b[16*pageSize : (16+locked)*pageSize]
		for i := range pages / 2 { // the others stay armed as they were
			wordAt(t, b, i*pageSize)
		}
		must(t, mlock2(part, unix.MLOCK_ONFAULT))
		m, err := smapAt(addressOf(part))
		must(t, err)
		if m.lock() != lockOnFault { // as if it was locked at once: then the pages would have to go
			wantError(t, "armed again", patiently(r.Rearm), ErrLocked, "munlock")
			t.Skip("this kernel does not tell that memory is locked on fault (lf in smaps)")
		}
		closeBusy(t, r.Rearm)
		must(t, unix.Munlock(part))
		given := 0
		look := func() {
			for range 2 {
				p.look() // the list of mappings shows access to what is armed by markers
			}
			s := p.Snapshot()
			if n := s.Regions[r.ID()].Widened; n != uint64(given) || notesSay(s, "has changed the rights") != (given > 0) {
				t.Errorf("%d pages are plain without a touch, want %d; notes %q", n, given, s.Stats.Notes)
			}
		}
		look()
		must(t, unix.Mprotect(part[:2*pageSize], unix.PROT_READ))
		given = 2 // what is armed by rights has them now
		look()
		before := p.Snapshot().Stats.Faults
		for i := range pages {
			wordAt(t, b, i*pageSize)
		}
		if n := p.Snapshot().Stats.Faults - before; n != uint64(pages-given) {
			t.Errorf("%d faults, want %d", n, pages-given)
		}
	}},
	{"system calls", func(t *testing.T, p *Profiler, _ bool) {
		b, _ := takenFile(t, p, 4, unix.PROT_READ)
		var pipe [2]int
		must(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
		if _, err := unix.Write(pipe[1], b[:8]); !errors.Is(err, unix.EFAULT) {
			t.Errorf("write(2) of what is armed: %v, want EFAULT", err)
		}
		wordAt(t, b, 0)
		_, err := unix.Write(pipe[1], b[:8]) // open, and stays so
		must(t, err)
	}},
}

// By signal a file is armed by taking its access away; its mapping stays its owner's.
func TestAccessTaken(t *testing.T) {
	const top = "TestAccessTaken"
	for _, c := range takenCases {
		for _, guards := range []bool{true, false} {
			name := c.name + "/guard markers"
			if !guards {
				name = c.name + "/rights"
			}
			inChild(t, top, name, nil, func(t *testing.T) {
				engine.WithoutGuards = !guards
				p := newProfiler(t, WithDelivery(DeliverySignal), WithGranule(pageSize))
				c.run(t, p, haveGuards(t))
				if s := p.Snapshot().Stats; s.Dropped != 0 || s.ResolveErrs != 0 {
					t.Errorf("%d dropped, %d failed: %s", s.Dropped, s.ResolveErrs, s.LastError)
				}
			})
		}
	}
}

// MADV_GUARD_INSTALL and MADV_GUARD_REMOVE, include/uapi/asm-generic/mman-common.h.
const (
	guardInstall = 102
	guardRemove  = 103
)

// takenFile maps a file, and attaches it. Nobody looks for changes of its mappings meanwhile.
func takenFile(t *testing.T, p *Profiler, pages, prot int) ([]byte, *Region) {
	t.Helper()
	path := newFile(t, pages*pageSize)
	b := mapFile(t, path, pages*pageSize, prot, unix.MAP_SHARED)
	r, err := attached(func() (*Region, error) { return p.AttachFile(path) })
	must(t, err)
	t.Cleanup(func() { closeBusy(t, r.Close) })
	return b, r
}

// haveGuards reports whether the kernel has guard markers for files (Linux 6.15).
func haveGuards(t *testing.T) bool {
	t.Helper()
	if engine.WithoutGuards {
		return false
	}
	b := mapFile(t, newFile(t, pageSize), pageSize, unix.PROT_READ, unix.MAP_SHARED)
	return unix.Madvise(b, guardInstall) == nil
}

// faulted runs f, which must panic for a fault, and returns at which address.
func faulted(f func()) (addr uintptr, ok bool) {
	defer func() {
		if a, is := recover().(interface{ Addr() uintptr }); is {
			addr, ok = a.Addr(), true
		}
	}()
	f()
	return 0, false
}

// sumInChild has a child that is forked without exec look at memory, which it finds as it should be, and returns its status.
func sumInChild(t *testing.T, b []byte) unix.WaitStatus {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	pid := forkToRead(b)
	if pid <= 0 {
		t.Fatalf("fork: %v", unix.Errno(-pid))
	}
	var status unix.WaitStatus
	for {
		if _, err := unix.Wait4(pid, &status, 0, nil); !errors.Is(err, unix.EINTR) {
			must(t, err)
			return status
		}
	}
}
