//go:build linux && (amd64 || arm64)

package raw

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestErrno(t *testing.T) {
	for _, c := range []struct{ answer, want uintptr }{
		{0, 0},
		{1, 0},
		{1 << 47, 0},
		{^uintptr(0), 1}, // -1
		{^uintptr(unix.EAGAIN - 1), uintptr(unix.EAGAIN)},
		{^uintptr(4094), 4095},
		{^uintptr(4095), 0}, // -4096 is an address
	} {
		if got := Errno(c.answer); got != c.want {
			t.Errorf("Errno(%#x) = %d, want %d", c.answer, got, c.want)
		}
	}
}

func TestSyscallPassesAllArguments(t *testing.T) {
	if pid := Syscall(unix.SYS_GETPID, 0, 0, 0, 0, 0, 0); int(pid) != os.Getpid() {
		t.Errorf("getpid %d, want %d", pid, os.Getpid())
	}
	if e := Errno(Syscall(unix.SYS_CLOSE, 1<<20, 0, 0, 0, 0, 0)); unix.Errno(e) != unix.EBADF {
		t.Errorf("close of no descriptor: errno %d, want EBADF", e)
	}
	// mmap uses six: the offset, the last, decides what is read.
	page := unix.Getpagesize()
	fd, err := unix.MemfdCreate("raw", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.Pwrite(fd, []byte("second"), int64(page)); err != nil {
		t.Fatal(err)
	}
	p := Syscall(unix.SYS_MMAP, 0, uintptr(page), unix.PROT_READ, unix.MAP_SHARED, uintptr(fd), uintptr(page))
	if e := Errno(p); e != 0 {
		t.Fatal(unix.Errno(e))
	}
	got := string(unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(nil), p)), 6))
	if got != "second" {
		t.Errorf("mapped %q, want the page at the offset", got)
	}
	if e := Errno(Syscall(unix.SYS_MUNMAP, p, uintptr(page), 0, 0, 0, 0)); e != 0 {
		t.Error(unix.Errno(e))
	}
}

// roomy runs f where the goroutine's stack has room for the vDSO, which Nanotime leaves to its
// caller. Without garbage collections the stack does not shrink again.
func roomy(f func()) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	grow(64 << 10)
	f()
}

//go:noinline
func grow(bytes int) byte {
	var b [4096]byte
	if bytes > 0 {
		b[0] = grow(bytes - len(b))
	}
	return b[0]
}

// The clock of goroutines is that of the kernel too.
func TestMonotonicIsTheMonotonicClock(t *testing.T) {
	for range 1000 {
		var lo, hi unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &lo); err != nil {
			t.Fatal(err)
		}
		v := Monotonic()
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &hi); err != nil {
			t.Fatal(err)
		}
		if v < lo.Nano() || v > hi.Nano() {
			t.Fatalf("%d is not in [%d, %d]", v, lo.Nano(), hi.Nano())
		}
	}
}

// Between two readings of the kernel's clock lies ours, by the vDSO and by the system call.
func TestNanotimeIsTheMonotonicClock(t *testing.T) {
	found := vdso
	defer func() { vdso = found }()
	now := func() int64 {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			t.Fatal(err)
		}
		return ts.Nano()
	}
	for _, c := range []struct {
		name string
		vdso uintptr
	}{{"vDSO", found}, {"system call", 0}} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "vDSO" && found == 0 {
				t.Skip("the kernel maps no vDSO with a clock")
			}
			vdso = c.vdso
			roomy(func() {
				for range 1000 {
					lo := now()
					v := Nanotime()
					if hi := now(); v < lo || v > hi {
						t.Fatalf("%d is not in [%d, %d]", v, lo, hi)
					}
				}
			})
		})
	}
}

func TestVDSOLookup(t *testing.T) {
	if got := vdsoSymbol(4096, vdsoClockName); got != 0 {
		t.Errorf("a symbol of an image that is not mapped: %#x", got)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	i := strings.Index(string(maps), " [vdso]\n")
	if i < 0 {
		t.Skip("the kernel maps no vDSO")
	}
	line := string(maps[strings.LastIndexByte(string(maps[:i]), '\n')+1 : i])
	var lo, hi uintptr
	if _, err := fmt.Sscanf(line, "%x-%x", &lo, &hi); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	if vdso < lo || vdso >= hi {
		t.Errorf("the clock at %#x is not in the vDSO, %#x to %#x", vdso, lo, hi)
	}
	if got := vdsoSymbol(lo, "no_such_function"); got != 0 {
		t.Errorf("a symbol that is not there: %#x", got)
	}
	if got := vdsoSegment(lo); got == 0 || got > hi-lo {
		t.Errorf("without /proc the image has %d bytes, and it has %d", got, hi-lo)
	}
}

// G is one value for a goroutine's life, across threads, and different for those that live at once.
func TestGIdentifiesTheGoroutine(t *testing.T) {
	const n = 64
	hold := make(chan struct{})
	ids := make(chan uintptr, n)
	for range n {
		go func() {
			before := G()
			for range 100 {
				runtime.Gosched()
			}
			time.Sleep(time.Millisecond)
			grow(32 << 10) // moves the stack, not the g
			if after := G(); after != before {
				t.Errorf("g was %#x and is %#x", before, after)
			}
			ids <- before
			<-hold
		}()
	}
	seen := map[uintptr]bool{0: true, G(): true}
	for range n {
		id := <-ids
		if seen[id] {
			t.Errorf("g %#x twice, or 0", id)
		}
		seen[id] = true
	}
	close(hold)
}
