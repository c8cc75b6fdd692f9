//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"fmt"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// hangRows are ways of touching that differ in what a garbage collection does while the fault is
// pending: wait for a moment, wait until it is resolved, or go on.
var hangRows = []struct {
	name   string
	system bool
	touch  func(a *armed, lo, hi int) error
}{
	{"load", false, hangLoad},
	{"copy", false, hangCopy},
	{"compare", false, hangCompare},
	{"clear", false, hangClear},
	{"write(2)", true, hangWrite2},
	{"read(2)", true, hangRead2},
}

// Whatever touches, in an arena and in a file, garbage collections and faults both finish. The
// names of the cases end in GOMAXPROCS.
func TestNoWayOfTouchingHangs(t *testing.T) {
	aside(t)
	for _, row := range hangRows {
		for _, procs := range []int{1, 2, 8} {
			env := []string{"GOGC=1", fmt.Sprintf("GOMAXPROCS=%d", procs)}
			in := inChildren
			if row.system {
				in = inChild
			}
			in(t, "TestNoWayOfTouchingHangs", fmt.Sprintf("%s/%d", row.name, procs), env, func(t *testing.T) {
				p := newProfiler(t)
				if row.system && p.Snapshot().Stats.UserModeOnly {
					t.Skip("Stats.UserModeOnly: a system call that is given memory not yet touched fails with EFAULT")
				}
				duringCollections(t, p, testproc.Times(500, 2000), func(a *armed) { a.spread(t, 8, row.touch) })
			})
		}
	}
}

// A child that is forked without sharing memory does not disturb the faults of its parent, nor they
// it, under the same conditions.
func TestForkDoesNotHang(t *testing.T) {
	aside(t)
	for _, procs := range []int{1, 2, 8} {
		env := []string{"GOGC=1", fmt.Sprintf("GOMAXPROCS=%d", procs)}
		inChildren(t, "TestForkDoesNotHang", fmt.Sprintf("fork/%d", procs), env, func(t *testing.T) {
			// Only a new user namespace makes the Go runtime fork instead of vfork.
			apart := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS}
			if err := runTrue(apart); err != nil {
				t.Skipf("a process in a user namespace of its own is not permitted: %v", err)
			}
			p := newProfiler(t)
			var touched atomic.Bool
			forked := make(chan int)
			go func() {
				n := 0
				for ; n < 4 || !touched.Load(); n++ {
					attr := apart
					if n%2 == 1 {
						attr = nil // vfork, which shares memory
					}
					if err := runTrue(attr); err != nil {
						t.Errorf("child %d: %v", n, err)
					}
				}
				forked <- n
			}()
			duringCollections(t, p, testproc.Times(500, 2000), func(a *armed) { a.spread(t, 8, hangCopy) })
			touched.Store(true)
			t.Logf("%d children", <-forked)
		})
	}
}

func runTrue(attr *syscall.SysProcAttr) error {
	c := exec.Command("true")
	c.SysProcAttr = attr
	return c.Run()
}

func hangLoad(a *armed, lo, hi int) error {
	for i := lo; i < hi; i += 512 {
		if a.memory[i] != a.want[i] {
			return fmt.Errorf("byte %d is %d, want %d", i, a.memory[i], a.want[i])
		}
	}
	return nil
}

func hangCopy(a *armed, lo, hi int) error {
	b := make([]byte, hi-lo)
	copy(b, a.memory[lo:hi])
	return same(b, a.want[lo:hi])
}

func hangCompare(a *armed, lo, hi int) error {
	if text(a.memory[lo:hi]) != text(a.want[lo:hi]) {
		return same(a.memory[lo:hi], a.want[lo:hi])
	}
	return nil
}

func hangClear(a *armed, lo, hi int) error {
	clear(a.memory[lo:hi])
	clear(a.want[lo:hi])
	return nil
}

func hangWrite2(a *armed, lo, hi int) error {
	fd, err := unix.MemfdCreate("hang", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if n, err := unix.Write(fd, a.memory[lo:hi]); err != nil || n != hi-lo {
		return fmt.Errorf("write %d of %d bytes: %w", n, hi-lo, err)
	}
	b := make([]byte, hi-lo)
	if _, err := unix.Pread(fd, b, 0); err != nil {
		return err
	}
	return same(b, a.want[lo:hi])
}

func hangRead2(a *armed, lo, hi int) error {
	fd, err := unix.MemfdCreate("hang", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for i := lo; i < hi; i++ {
		a.want[i] = byte(i * 7)
	}
	if _, err := unix.Write(fd, a.want[lo:hi]); err != nil {
		return err
	}
	if n, err := unix.Pread(fd, a.memory[lo:hi], 0); err != nil || n != hi-lo {
		return fmt.Errorf("read %d of %d bytes: %w", n, hi-lo, err)
	}
	return nil
}

func same(got, want []byte) error {
	if !bytes.Equal(got, want) {
		i := different(got, want)
		return fmt.Errorf("byte %d of them is %d, want %d", i, got[i], want[i])
	}
	return nil
}
