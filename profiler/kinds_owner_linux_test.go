//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// faulty reports whether reading a page gives SIGBUS or SIGSEGV.
func faulty(b []byte) (bad bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { bad = recover() != nil }()
	use(b[5])
	return false
}

//go:noinline
func use(byte) {}

// What the owner does to its shared memory works as without us, and what is touched is seen once.
func TestOwnerOfSharedMemory(t *testing.T) {
	const pages = 300
	inKinds(t, "TestOwnerOfSharedMemory", pages, func(t *testing.T, p *Profiler, r *Region, b []byte) {
		want := contents(len(b))
		copy(b, want)
		window := func(name string, faults int, f func()) {
			t.Helper()
			rearm(t, r)
			before := p.Snapshot()
			f()
			if i := different(b, want); i >= 0 {
				t.Fatalf("%s: byte %d is %d, want %d", name, i, b[i], want[i])
			}
			if s := p.Snapshot().Sub(before); s.Stats.Faults != uint64(faults) || s.Stats.ResolveErrs != 0 {
				t.Errorf("%s: %d faults, want %d; %d failed: %s", name, s.Stats.Faults, faults, s.Stats.ResolveErrs, s.Stats.LastError)
			}
		}
		third := pages / 3 * pageSize
		// Its contents stay, and a granule that was touched is touched.
		window("MADV_DONTNEED", pages, func() {
			different(b[:2*third], want[:2*third])
			must(t, unix.Madvise(b[third:], unix.MADV_DONTNEED))
		})
		window("MADV_REMOVE", pages, func() {
			different(b[:2*third], want[:2*third])
			must(t, unix.Madvise(b[third:], unix.MADV_REMOVE))
			clear(want[third:])
		})
		copy(b, contents(len(b)))
		copy(want, b)
		window("mprotect", pages, func() {
			must(t, unix.Mprotect(b[third:2*third], unix.PROT_READ))
			if i := different(b, want); i >= 0 {
				t.Errorf("byte %d", i)
			}
			must(t, unix.Mprotect(b[third:2*third], unix.PROT_READ|unix.PROT_WRITE))
			b[third], want[third] = 1, 1
		})
		window("mlock", pages, func() {
			if err := unix.Mlock(b[:third]); err != nil {
				t.Skipf("memory cannot be locked here: %v", err)
			}
			if err := r.Rearm(); !errors.Is(err, ErrNotSupported) {
				t.Errorf("armed again while locked: %v", err)
			}
			must(t, unix.Munlock(b[:third]))
		})
		if p.eng.UserModeOnly() {
			return // they fail, see Stats.UserModeOnly
		}
		window("system calls", pages, func() {
			var pipe [2]int
			must(t, unix.Pipe(pipe[:]))
			for i := range pages {
				if n, err := unix.Write(pipe[1], page(b, i)[:8]); n != 8 || err != nil {
					t.Fatal(n, err)
				}
				if n, err := unix.Read(pipe[0], page(b, i)[16:24]); n != 8 || err != nil {
					t.Fatal(n, err)
				}
				copy(page(want, i)[16:24], page(want, i)[:8])
			}
		})
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lookEnv is set in a program that only looks at the memory of a file, which is its descriptor 3.
const lookEnv = "FIRSTTOUCH_TEST_LOOK"

// Children, those that share memory until they execute a program and those that have a copy of the page tables, do
// not disturb the windows. Nor do those that map the object's file themselves, who find its contents while it is armed
// here; of memory without a file a program that was executed has nothing.
func TestSharedMemoryWhileForking(t *testing.T) {
	const top, pages = "TestSharedMemoryWhileForking", 512
	want := contents(pages * pageSize)
	if os.Getenv(lookEnv) != "" {
		b := mapKind(t, 3, len(want), unix.MAP_SHARED)
		if i := different(b, want); i >= 0 {
			t.Errorf("byte %d is %d, want %d", i, b[i], want[i])
		}
		return
	}
	inKinds(t, top, pages, func(t *testing.T, p *Profiler, r *Region, b []byte) {
		copy(b, want)
		var file *os.File
		if r.kind == KindAttached {
			var err error
			file, err = os.OpenFile(r.Name(), os.O_RDWR, 0)
			must(t, err)
			defer file.Close()
		}
		apart := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS}
		if err := runTrue(apart); err != nil {
			t.Logf("only children that share memory: %v", err)
			apart = nil
		}
		var over atomic.Bool
		var looks atomic.Int64
		var wg sync.WaitGroup
		wg.Go(func() {
			for n := 0; !over.Load(); n++ {
				c, says := exec.Command("true"), ""
				if look := file != nil && n%8 < 2; look {
					c = exec.Command(os.Args[0], "-test.v", "-test.count=1", "-test.run=^"+top+"$")
					c.Env = append(os.Environ(), lookEnv+"=1")
					c.ExtraFiles = []*os.File{file}
					says = "--- PASS: " + top
				}
				if n%2 == 0 {
					c.SysProcAttr = apart
				}
				if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), says) {
					t.Errorf("child %d: %v\n%s", n, err, out)
					return
				}
				if says != "" {
					looks.Add(1)
				}
			}
		})
		enough := int64(0)
		if file != nil {
			enough = 4 // two of each way to fork, whatever the speed of this machine
		}
		for n := 0; n < testproc.Times(8, 25) || looks.Load() < enough && !t.Failed(); n++ {
			rearm(t, r)
			before := p.Snapshot()
			if !bytes.Equal(b, want) {
				t.Error("wrong contents")
			}
			if s := p.Snapshot().Sub(before); s.Stats.Faults != pages {
				t.Errorf("%d faults", s.Stats.Faults)
			}
		}
		over.Store(true)
		wg.Wait()
	})
}

// Several mappings of one object are each observed, and the region follows them: those that come, grow,
// move and go.
func TestMappingsOfSharedMemoryCome(t *testing.T) {
	inChild(t, "TestMappingsOfSharedMemoryCome", "all", nil, func(t *testing.T) {
		const pages = 64
		p := newProfiler(t, WithRescan(time.Millisecond))
		fd := newMemfd(t, 4*pages*pageSize, 0)
		whole := contents(4 * pages * pageSize)
		if _, err := unix.Pwrite(fd, whole, 0); err != nil {
			t.Fatal(err)
		}
		size := pages * pageSize
		first := mapKind(t, fd, size, unix.MAP_SHARED)
		r := attachPath(t, p, fmt.Sprintf("/proc/self/fd/%d", fd))
		second := mapKind(t, fd, size, unix.MAP_SHARED)
		mapped := func(want ...uintptr) {
			t.Helper()
			for deadline := time.Now().Add(testproc.Budget(20 * time.Second)); ; time.Sleep(time.Millisecond) {
				var got []uintptr
				for _, m := range p.Snapshot().Regions[r.ID()].Mappings {
					got = append(got, m.Start, m.End)
				}
				if slices.Equal(ranges(got), ranges(want)) {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("observed %x, want %x", ranges(got), ranges(want))
				}
			}
		}
		a, b := addressOf(first), addressOf(second)
		mapped(a, a+uintptr(size), b, b+uintptr(size))
		seen := func(mem []byte, offset, faults int) {
			t.Helper()
			before := p.Snapshot()
			if i := different(mem, whole[offset:offset+len(mem)]); i >= 0 {
				t.Fatalf("byte %d", i)
			}
			if s := p.Snapshot().Sub(before); s.Stats.Faults != uint64(faults) {
				t.Errorf("%d faults, want %d", s.Stats.Faults, faults)
			}
		}
		seen(first, 0, pages)
		seen(second, 0, pages)
		seen(second, 0, 0)
		// It grows and moves.
		to, _, e := unix.Syscall6(unix.SYS_MREMAP, b, uintptr(size), uintptr(3*size), unix.MREMAP_MAYMOVE, 0, 0)
		if e != 0 {
			t.Fatal(e)
		}
		moved := unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&to))), 3*size)
		mapped(a, a+uintptr(size), to, to+uintptr(3*size))
		seen(moved, 0, 3*pages)
		// Another mapping of the same takes its place.
		if _, _, e := unix.Syscall6(unix.SYS_MMAP, a, uintptr(size), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED, uintptr(fd), 0); e != 0 {
			t.Fatal(e)
		}
		time.Sleep(100 * time.Millisecond)
		mapped(a, a+uintptr(size), to, to+uintptr(3*size))
		before := p.Snapshot()
		for range 1000 {
			if i := different(first, whole[:size]); i >= 0 {
				t.Fatalf("byte %d", i)
			}
			rearm(t, r)
			if p.Snapshot().Sub(before).Stats.Faults >= pages {
				break
			}
		}
		seen(first, 0, pages)
		if _, _, e := unix.Syscall(unix.SYS_MUNMAP, a, uintptr(size), 0); e != 0 {
			t.Fatal(e)
		}
		mapped(to, to+uintptr(3*size))
		closeBusy(t, r.Close)
		if i := different(moved, whole[:3*size]); i >= 0 {
			t.Fatalf("byte %d", i)
		}
		if s := p.Snapshot().Stats; s.ResolveErrs != 0 {
			t.Errorf("%d resolves failed: %s", s.ResolveErrs, s.LastError)
		}
	})
}

// ranges joins pairs of bounds that touch, sorted.
func ranges(bounds []uintptr) (out []uintptr) {
	slices.Sort(bounds)
	for _, b := range bounds {
		if n := len(out); n > 0 && out[n-1] == b {
			out = out[:n-1]
		} else {
			out = append(out, b)
		}
	}
	return out
}

// A file on a disk, of which some was touched, has its mapping back as it was.
func TestDetachedFileIsAsItWas(t *testing.T) {
	inChild(t, "TestDetachedFileIsAsItWas", "all", nil, func(t *testing.T) {
		const pages = 200
		p := newProfiler(t)
		path := diskFile(t, pages*pageSize)
		b := mapFile(t, path, pages*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		must(t, unix.Madvise(b, unix.MADV_RANDOM))
		before := smapsOf(t, b)
		r := attachPath(t, p, path)
		for i := 0; i < pages; i += 3 {
			page(b, i)[0] = page(b, i)[0]
			use(page(b, i)[1])
		}
		closeBusy(t, r.Close)
		if after := smapsOf(t, b); !slices.Equal(before, after) {
			t.Errorf("mappings were %q and are %q", before, after)
		}
	})
}

// Pages of shared memory that are pinned are observed like all others: they stay the pages that they are.
func TestPinnedSharedMemory(t *testing.T) {
	inChild(t, "TestPinnedSharedMemory", "all", nil, func(t *testing.T) {
		const pages = 64
		p := newProfiler(t)
		b := mapKind(t, -1, pages*pageSize, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
		want := contents(len(b))
		copy(b, want)
		ring := pin(t, b[10*pageSize:14*pageSize])
		defer unix.Close(ring)
		r := attachMemory(t, p, b)
		for round := range 4 {
			before := p.Snapshot()
			if i := different(b, want); i >= 0 {
				t.Fatalf("byte %d is %d, want %d", i, b[i], want[i])
			}
			if s := p.Snapshot().Sub(before); s.Stats.Faults != pages {
				t.Errorf("round %d: %d faults, want %d", round, s.Stats.Faults, pages)
			}
			rearm(t, r)
		}
		closeBusy(t, r.Close)
		if got := p.Snapshot().Regions[r.ID()]; got.Left != 0 {
			t.Errorf("%d pages left", got.Left)
		}
	})
}

// An object has one region at a time, and a region whose memory its owner has unmapped goes on with what is left.
func TestSharedMemoryOfAnotherRegion(t *testing.T) {
	inChild(t, "TestSharedMemoryOfAnotherRegion", "all", nil, func(t *testing.T) {
		const pages = 8
		p := newProfiler(t)
		fd := newMemfd(t, pages*pageSize, 0)
		path := fmt.Sprintf("/proc/self/fd/%d", fd)
		b := mapKind(t, fd, pages*pageSize, unix.MAP_SHARED)
		r := attachMemory(t, p, b)
		_, err := p.AttachFile(path)
		wantError(t, "by path", err, ErrRegistered, "close that first")
		closeBusy(t, r.Close)
		r = attachPath(t, p, path)
		_, err = p.AttachMemory("memory", b)
		wantError(t, "by address", err, ErrRegistered, path)
		closeBusy(t, r.Close)

		// Private memory, shared memory, and what is unmapped in the middle.
		all := mapMemory(t, 3*pages)
		if _, _, e := unix.Syscall6(unix.SYS_MMAP, addressOf(all)+uintptr(pages*pageSize), uintptr(pages*pageSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED, uintptr(fd), 0); e != 0 {
			t.Fatal(e)
		}
		want := slices.Clone(all)
		mixed, err := p.AttachMemory("mixed", all)
		must(t, err)
		before := p.Snapshot()
		if i := different(all, want); i >= 0 {
			t.Fatalf("byte %d", i)
		}
		if s := p.Snapshot().Sub(before); s.Stats.Faults != 3*pages {
			t.Errorf("%d faults", s.Stats.Faults)
		}
		must(t, func() error {
			_, _, e := unix.Syscall(unix.SYS_MUNMAP, addressOf(all)+uintptr(pages*pageSize), uintptr(pages*pageSize), 0)
			if e != 0 {
				return e
			}
			return nil
		}())
		for range 3 {
			rearm(t, mixed)
			before := p.Snapshot()
			for _, part := range []int{0, 2 * pages * pageSize} {
				if i := different(all[part:part+pages*pageSize], want[part:part+pages*pageSize]); i >= 0 {
					t.Fatalf("byte %d", i)
				}
			}
			if s := p.Snapshot().Sub(before); s.Stats.Faults != 2*pages {
				t.Errorf("%d faults", s.Stats.Faults)
			}
		}
		closeBusy(t, mixed.Close)
	})
}
