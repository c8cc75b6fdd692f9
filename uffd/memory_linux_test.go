package uffd

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// openTest opens a descriptor for the length of the test. What the system refuses skips the test,
// with the reason; anything else fails it.
func openTest(t testing.TB, opts ...Option) *FD {
	t.Helper()
	fd, err := Open(opts...)
	if errors.Is(err, ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fd.Close(); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
	return fd
}

// openKernelMode is openTest for tests whose faults are made by system calls.
func openKernelMode(t testing.TB, opts ...Option) *FD {
	t.Helper()
	return openTest(t, append(opts, WithPaths(PathDevice, PathSyscall))...)
}

// anonymous maps private anonymous memory for the length of the test.
func anonymous(t testing.TB, pages int) []byte {
	t.Helper()
	mem, err := unix.Mmap(-1, 0, pages*PageSize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(mem); err != nil {
			t.Error(err)
		}
	})
	return mem
}

// aliased maps the same shared memory twice.
func aliased(t testing.TB, pages int) (mem, alias []byte) {
	t.Helper()
	fd, err := unix.MemfdCreate("uffd-test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, int64(pages*PageSize())); err != nil {
		t.Fatal(err)
	}
	for _, view := range []*[]byte{&mem, &alias} {
		if *view, err = unix.Mmap(fd, 0, pages*PageSize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Munmap(*view); err != nil {
				t.Error(err)
			}
		})
	}
	return mem, alias
}

func register(t testing.TB, fd *FD, mem []byte, mode RegisterMode) IoctlSet {
	t.Helper()
	ioctls, err := fd.Register(RangeOf(mem), mode)
	if err != nil {
		t.Fatal(err)
	}
	return ioctls
}

// page is the n-th page of mem, and pageRange its addresses.
func page(mem []byte, n int) []byte { return mem[n*PageSize() : (n+1)*PageSize()] }

func pageRange(mem []byte, n int) Range { return RangeOf(page(mem, n)) }

// pattern is memory of its own, every byte b.
func pattern(b byte, pages int) []byte {
	mem := make([]byte, pages*PageSize())
	for i := range mem {
		mem[i] = b
	}
	return mem
}

// writeToPipe hands the first byte of mem to write(2) and answers with what came out at the other
// end, or with the error. Go sends no preemption signals to a thread in a system call, so the fault
// is made once and waits until it is woken.
func writeToPipe(t testing.TB, mem []byte) <-chan touched {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan touched, 1)
	go func() {
		defer r.Close()
		defer w.Close()
		if _, err := unix.Write(int(w.Fd()), mem[:1]); err != nil {
			done <- touched{err: err}
			return
		}
		var b [1]byte
		_, err := r.Read(b[:])
		done <- touched{b[0], err}
	}()
	return done
}

type touched struct {
	value byte
	err   error
}

// load reads the first byte of mem by a plain load.
func load(mem []byte) <-chan byte {
	done := make(chan byte, 1)
	go func() { done <- mem[0] }()
	return done
}
