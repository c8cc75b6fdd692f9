//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapMemory maps private memory as a library would, filled with contents. Pages without access on both
// sides keep what the Go runtime maps from merging with it.
func mapMemory(t *testing.T, pages int) []byte {
	t.Helper()
	b, err := unix.Mmap(-1, 0, (pages+2)*pageSize, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	b = b[pageSize : (pages+1)*pageSize : (pages+1)*pageSize]
	if err := unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		t.Fatal(err)
	}
	copy(b, contents(pages*pageSize))
	return b
}

// smallPages keeps the kernel from using huge pages for memory, now and later, whatever its policy is.
func smallPages(t *testing.T, b []byte) {
	t.Helper()
	if err := unix.Madvise(b, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL { // a kernel that has none
		t.Fatal(err)
	}
}

func attachMemory(t *testing.T, p *Profiler, b []byte, opts ...RegionOption) *Region {
	t.Helper()
	r, err := attached(func() (*Region, error) { return p.AttachMemory("cache", b, opts...) })
	if errors.Is(err, ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// lines are the mappings in a range, as /proc/self/maps shows them.
func lines(t *testing.T, lo, hi uintptr) (out []procMap) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	list, err := parseMaps(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if m.lo < hi && lo < m.hi {
			out = append(out, m)
		}
	}
	return out
}

// Memory that existed before is observed in windows as an arena is, in a process whose threads are
// parked for it, and is what it was afterwards.
func TestAttachedMemoryWindows(t *testing.T) {
	aside(t)
	inChild(t, "TestAttachedMemoryWindows", "all", []string{"GOGC=1"}, func(t *testing.T) {
		const pages, windows = 1024, 25
		p := newProfiler(t, WithLogLimit(1<<22))
		collecting(t)
		all := mapMemory(t, 3*pages)
		b := all[pages*pageSize : 2*pages*pageSize] // the middle of one mapping
		lo, hi := addressOf(all), addressOf(all)+uintptr(len(all))
		before, flags := lines(t, lo, hi), smapsOf(t, all)
		r := attachMemory(t, p, b)
		k := newTruth(r, b)
		rearm(t, r)
		k.storm(t, 3)
		rnd := rand.New(rand.NewPCG(3, 9))
		for range windows {
			k.window(t, p, rnd, 4)
			rearm(t, r)
		}
		k.end(t)
		closeBusy(t, r.Close)
		if after := lines(t, lo, hi); !slices.Equal(before, after) {
			t.Errorf("mappings were %+v and are %+v", before, after)
		}
		if after := smapsOf(t, all); !slices.Equal(flags, after) {
			t.Errorf("mappings were %q and are %q", flags, after)
		}
		k.end(t)
		checkSums(t, p.Snapshot())
	})
}

// Contents follow where the owner moves its memory, and what it unmaps is forgotten.
func TestOwnerMovesAttachedMemory(t *testing.T) {
	inChild(t, "TestOwnerMovesAttachedMemory", "all", []string{"GOGC=1"}, func(t *testing.T) {
		const pages = 600
		p := newProfiler(t)
		collecting(t)
		b := mapMemory(t, pages)
		want := contents(pages * pageSize)
		r := attachMemory(t, p, b)
		for i := 0; i < pages; i += 3 {
			page(b, i)[0]++
			page(want, i)[0]++
		}
		rearm(t, r)
		for i := 1; i < pages; i += 3 {
			page(b, i)[0]++
			page(want, i)[0]++
		}
		// The last third moves, the second is unmapped.
		third := pages / 3 * pageSize
		lo := addressOf(b)
		to, _, e := unix.Syscall6(unix.SYS_MREMAP, lo+uintptr(2*third), uintptr(third), uintptr(2*third), unix.MREMAP_MAYMOVE, 0, 0)
		if e != 0 {
			t.Fatal(e)
		}
		moved := unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&to))), 2*third)
		if i := different(moved[:third], want[2*third:]); i >= 0 {
			t.Fatalf("moved: byte %d is %d, want %d", i, moved[i], want[2*third+i])
		}
		clear(moved)
		if _, _, e := unix.Syscall(unix.SYS_MUNMAP, lo+uintptr(third), uintptr(third), 0); e != 0 {
			t.Fatal(e)
		}
		rearm(t, r)
		if i := different(b[:third], want[:third]); i >= 0 {
			t.Fatalf("byte %d is %d, want %d", i, b[i], want[i])
		}
		closeBusy(t, r.Close)
		if i := different(b[:third], want[:third]); i >= 0 {
			t.Fatalf("afterwards: byte %d is %d, want %d", i, b[i], want[i])
		}
		if s := p.Snapshot().Stats; s.ResolveErrs != 0 {
			t.Errorf("%d resolves failed: %s", s.ResolveErrs, s.LastError)
		}
	})
}

// A child that was forked before, and lives, shares all pages.
func TestAttachPagesSharedWithAChild(t *testing.T) {
	inChild(t, "TestAttachPagesSharedWithAChild", "all", nil, func(t *testing.T) {
		const pages = 300
		p := newProfiler(t)
		b := mapMemory(t, pages)
		want := contents(pages * pageSize)
		c := exec.Command("sleep", "100")
		// Stays a copy of this process until it can execute, that is until the pipe is written to.
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
		if err := c.Start(); err != nil {
			t.Skipf("a process in a user namespace of its own is not permitted: %v", err)
		}
		defer func() { c.Process.Kill(); c.Wait() }()
		r := attachMemory(t, p, b)
		for range 3 {
			if i := different(b, want); i >= 0 {
				t.Fatalf("byte %d is %d, want %d", i, b[i], want[i])
			}
			rearm(t, r)
		}
		closeBusy(t, r.Close)
		if s := p.Snapshot(); s.Stats.Faults != 3*pages || s.Stats.ResolveErrs != 0 || s.Regions[r.ID()].Left != 0 {
			t.Errorf("%d faults, %d failed (%s), %d left", s.Stats.Faults, s.Stats.ResolveErrs, s.Stats.LastError, s.Regions[r.ID()].Left)
		}
	})
}

// So are pieces of a huge page that children have shared, and whose first page was written meanwhile, so that it is not
// among them any more. Afterwards children have the memory again.
func TestAttachHugePageSharedWithChildren(t *testing.T) {
	inChild(t, "TestAttachHugePageSharedWithChildren", "all", nil, func(t *testing.T) {
		const huge = 2 << 20
		b := mapMemory(t, 3*huge/pageSize)
		want := contents(len(b))
		at := int((addressOf(b)+huge-1)/huge*huge - addressOf(b))
		b, want = b[at:at+huge:at+huge], want[at:at+huge]
		const collapse = 25 // MADV_COLLAPSE, whatever the policy is
		if _, _, e := unix.Syscall(unix.SYS_MADVISE, addressOf(b), huge, collapse); e != 0 {
			t.Skipf("memory cannot be collapsed into huge pages here (MADV_COLLAPSE): %v", e)
		}
		flags := smapsOf(t, b)
		fork := func() error {
			c := exec.Command("true")
			c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER} // it has a copy until it executes
			return c.Run()
		}
		var over atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			for !over.Load() {
				b[1], want[1] = b[1]+1, want[1]+1
			}
		})
		for range 5 {
			if err := fork(); err != nil {
				over.Store(true)
				t.Skipf("a process in a user namespace of its own is not permitted: %v", err)
			}
		}
		over.Store(true)
		wg.Wait()
		p := newProfiler(t)
		r := attachMemory(t, p, b)
		const rounds = 3
		for range rounds {
			for i := len(b)/pageSize - 1; i >= 0; i-- {
				page(b, i)[1]++
				page(want, i)[1]++
			}
			if i := different(b, want); i >= 0 {
				t.Fatalf("byte %d is %d, want %d", i, b[i], want[i])
			}
			rearm(t, r)
		}
		closeBusy(t, r.Close)
		if s := p.Snapshot(); s.Stats.Faults != rounds*huge/uint64(pageSize) || s.Stats.ResolveErrs != 0 || s.Regions[r.ID()].Left != 0 {
			t.Errorf("%d faults, %d failed (%s), %d left", s.Stats.Faults, s.Stats.ResolveErrs, s.Stats.LastError, s.Regions[r.ID()].Left)
		}
		if after := smapsOf(t, b); !slices.Equal(flags, after) {
			t.Errorf("mappings were %q and are %q", flags, after)
		}
	})
}

// Pages that are pinned stay the pages that they are: what the kernel writes into them is seen.
func TestPinnedPagesAreLeft(t *testing.T) {
	inChild(t, "TestPinnedPagesAreLeft", "all", nil, func(t *testing.T) {
		const pages, pinned = 64, 4
		p := newProfiler(t)
		b := mapMemory(t, pages)
		want := contents(pages * pageSize)
		smallPages(t, b) // what is pinned of a larger one is all of it
		must(t, unix.Madvise(b, unix.MADV_DONTNEED))
		copy(b, want)
		ring := pin(t, b[10*pageSize:(10+pinned)*pageSize])
		defer unix.Close(ring)
		r := attachMemory(t, p, b)
		for round := range 4 {
			before := p.Snapshot()
			if i := different(b, want); i >= 0 {
				t.Fatalf("byte %d is %d, want %d", i, b[i], want[i])
			}
			faults := uint64(pages)
			if round > 0 {
				faults -= pinned
			}
			if s := p.Snapshot().Sub(before); s.Stats.Faults != faults {
				t.Errorf("round %d: %d faults, want %d", round, s.Stats.Faults, faults)
			}
			for i := range pages {
				page(b, i)[3]++
				page(want, i)[3]++
			}
			rearm(t, r)
		}
		closeBusy(t, r.Close)
		if i := different(b, want); i >= 0 {
			t.Fatalf("afterwards: byte %d is %d, want %d", i, b[i], want[i])
		}
		for _, line := range smapsOf(t, b) {
			if strings.Contains(line, " dc") {
				t.Errorf("afterwards children do not have %s", line)
			}
		}
		if got := p.Snapshot().Regions[r.ID()]; got.Left != pinned {
			t.Errorf("%d pages left, want %d", got.Left, pinned)
		}
	})
}

// pin has the kernel keep the pages of some memory, until the descriptor is closed.
func pin(t *testing.T, part []byte) (ring int) {
	t.Helper()
	var params [120]byte // struct io_uring_params
	fd, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&params)), 0)
	if e != 0 {
		t.Skipf("io_uring is not permitted here: %v", e)
	}
	iov := unix.Iovec{Base: &part[0], Len: uint64(len(part))}
	const registerBuffers = 0 // IORING_REGISTER_BUFFERS
	if _, _, e := unix.Syscall6(unix.SYS_IO_URING_REGISTER, fd, registerBuffers, uintptr(unsafe.Pointer(&iov)), 1, 0, 0); e != 0 {
		unix.Close(int(fd))
		t.Skipf("buffers cannot be registered with io_uring: %v", e)
	}
	return int(fd)
}

// What cannot be attached is refused, with the reason.
func TestAttachMemoryRefused(t *testing.T) {
	p := newProfiler(t)
	b := mapMemory(t, 8)
	if err := unix.Mprotect(b[4*pageSize:6*pageSize], unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	r := attachMemory(t, p, b)
	if s := p.Snapshot().Regions[r.ID()]; s.Mapped != 6*int64(pageSize) || s.Note == "" {
		t.Errorf("%d bytes, %q", s.Mapped, s.Note)
	}
	file := mapFile(t, diskFile(t, pageSize), pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	private := mapFile(t, diskFile(t, pageSize), pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	memfd := mapKind(t, newMemfd(t, pageSize, 0), pageSize, unix.MAP_PRIVATE)
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"registered", b, ErrRegistered},
		{"less than a page", mapMemory(t, 1)[1:], ErrInvalid},
		{"Go's heap", make([]byte, 1<<20), ErrNotSupported},
		{"read-only", b[4*pageSize : 6*pageSize], ErrNotSupported},
		{"file on a disk", file, ErrNotSupported},
		{"private mapping of a file", private, ErrNotSupported},
		{"private mapping of a memfd", memfd, ErrNotSupported},
		{"System V", systemV(t, pageSize), ErrNotSupported},
	} {
		if _, err := p.AttachMemory(c.name, c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	closeBusy(t, r.Close)
}
