package uffd

import (
	"errors"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRegisterAnswersTheRangesIoctls(t *testing.T) {
	fd := openTest(t)
	mem := anonymous(t, 4)
	ioctls := register(t, fd, mem, ModeMissing)
	for _, request := range []Ioctl{IoctlWake, IoctlCopy, IoctlZeropage} {
		if !ioctls.Has(request) {
			t.Errorf("anonymous memory takes only %v", ioctls)
		}
	}
	if ioctls.Has(IoctlWriteProtect) || ioctls.Has(IoctlContinue) {
		t.Errorf("%v: more than was registered for", ioctls)
	}
	if err := fd.Unregister(RangeOf(mem)); err != nil {
		t.Fatal(err)
	}
	if mem[0] != 0 {
		t.Error("unregistered memory does not read as zeros")
	}
}

func TestRegisterRefusals(t *testing.T) {
	fd := openTest(t)
	mem := anonymous(t, 4)
	whole := RangeOf(mem)
	register(t, openTest(t), page(mem, 3), ModeMissing)
	unmapped := anonymousHole(t)
	for name, c := range map[string]struct {
		r     Range
		mode  RegisterMode
		kind  error
		errno unix.Errno
	}{
		"empty":                 {Range{whole.Start, whole.Start}, ModeMissing, ErrInvalid, unix.EINVAL},
		"backwards":             {Range{whole.End, whole.Start}, ModeMissing, ErrInvalid, unix.EINVAL},
		"not aligned":           {Range{whole.Start + 1, whole.End + 1}, ModeMissing, ErrInvalid, unix.EINVAL},
		"no mode":               {pageRange(mem, 0), 0, ErrInvalid, unix.EINVAL},
		"unknown mode":          {pageRange(mem, 0), 1 << 30, ErrInvalid, unix.EINVAL},
		"minor of anonymous":    {pageRange(mem, 0), ModeMinor, ErrInvalid, unix.EINVAL},
		"not mapped":            {unmapped, ModeMissing, ErrInvalid, unix.EINVAL},
		"another descriptor's":  {pageRange(mem, 3), ModeMissing, ErrBusy, unix.EBUSY},
		"file for reading only": {RangeOf(readOnlyMemfd(t)), ModeMissing, ErrPermission, unix.EPERM},
	} {
		_, err := fd.Register(c.r, c.mode)
		if !errors.Is(err, c.kind) || !errors.Is(err, c.errno) {
			t.Errorf("%s: %v, want %v and %v", name, err, c.kind, c.errno)
		}
		if refused, ok := errors.AsType[*Error](err); !ok || refused.Range != c.r {
			t.Errorf("%s: %v does not carry its range", name, err)
		}
	}
}

func TestUnregisterRefusals(t *testing.T) {
	fd := openTest(t)
	for name, r := range map[string]Range{
		"empty":       {0x10000, 0x10000},
		"not aligned": {0x10001, 0x20001},
		"not mapped":  anonymousHole(t),
	} {
		if err := fd.Unregister(r); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What was never registered is no error.
	if err := fd.Unregister(RangeOf(anonymous(t, 1))); err != nil {
		t.Error(err)
	}
}

func TestRegisterAddsModes(t *testing.T) {
	if _, err := HaveRegister(MemoryAnonymous, ModeWP, 0); err != nil {
		t.Skip(err)
	}
	fd := openTest(t)
	mem := anonymous(t, 1)
	register(t, fd, mem, ModeMissing)
	if ioctls := register(t, fd, mem, ModeMissing|ModeWP); !ioctls.Has(IoctlWriteProtect) {
		t.Errorf("after adding WP: %v", ioctls)
	}
}

// anonymousHole is a page near the bottom of the address space, where nothing is mapped and the
// kernel places nothing by itself. On arm64 it comes after the program, which Go places there.
func anonymousHole(t *testing.T) Range {
	t.Helper()
	low := uintptr(1 << 16)
	for ; low < 1<<28; low += uintptr(PageSize()) {
		// msync(2) says ENOMEM where nothing is mapped, and does nothing with these flags otherwise.
		_, _, errno := unix.Syscall(unix.SYS_MSYNC, low, uintptr(PageSize()), unix.MS_ASYNC)
		if errno == unix.ENOMEM {
			return Range{Addr(low), Addr(low) + Addr(PageSize())}
		}
	}
	t.Skip("the first 256 MiB of the address space are all mapped")
	return Range{}
}

// readOnlyMemfd is a shared mapping that can never become writable.
func readOnlyMemfd(t *testing.T) []byte {
	t.Helper()
	fd, err := unix.MemfdCreate("uffd-test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, int64(PageSize())); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	mem, err := unix.Mmap(int(file.Fd()), 0, PageSize(), unix.PROT_READ, unix.MAP_SHARED)
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
