//go:build linux && (amd64 || arm64)

package raw

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Map maps size bytes of private zero memory. Under mlockall(MCL_FUTURE) the kernel locks and fills each new mapping
// that may be accessed, and counts it in RLIMIT_MEMLOCK. This one is neither filled nor locked, and counts for a page at
// most. Where no lock can be taken off, Map fails. locked tells that the kernel had locked it.
func Map(size uintptr, prot int) (p uintptr, locked bool, err error) {
	p, locked, err = reserve(size, -1)
	if err != nil {
		return 0, false, err
	}
	if prot != unix.PROT_NONE {
		if _, _, n := unix.Syscall(unix.SYS_MPROTECT, p, size, uintptr(prot)); n != 0 {
			Unmap(p, size)
			return 0, false, fmt.Errorf("mprotect: %w", n)
		}
	}
	return p, locked, nil
}

// MapZero is Map of /dev/zero, without access. That is anonymous memory as Map's is (mmap_zero, drivers/char/mem.c), which
// the kernel shows under that name, and it merges with no other memory.
func MapZero(size uintptr) (p uintptr, err error) {
	fd, err := unix.Open("/dev/zero", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	p, _, err = reserve(size, fd)
	return p, err
}

// reserve is Map without access; of memory of no file where fd is -1.
func reserve(size uintptr, fd int) (p uintptr, locked bool, err error) {
	flags := unix.MAP_PRIVATE | unix.MAP_NORESERVE
	if fd < 0 {
		flags |= unix.MAP_ANONYMOUS
	}
	page := uintptr(unix.Getpagesize())
	b, err := unix.MmapPtr(fd, 0, nil, size, unix.PROT_NONE, flags)
	if err == nil {
		if p = uintptr(b); !Locked(p, page) {
			return p, false, nil
		}
		if err = unlock(p, size); err != nil {
			Unmap(p, size)
		}
		return p, true, err
	}
	if !errors.Is(err, unix.EAGAIN) { // mlock_future_ok, mm/mmap.c
		return 0, false, err
	}
	// A page that is not locked does not become so when it grows (mm/mremap.c).
	if b, err = unix.MmapPtr(fd, 0, nil, page, unix.PROT_NONE, flags); err != nil {
		return 0, false, fmt.Errorf("%w: RLIMIT_MEMLOCK has no room for a page", err)
	}
	p = uintptr(b)
	if err = unlock(p, page); err == nil {
		grown, _, n := unix.Syscall6(unix.SYS_MREMAP, p, page, size, unix.MREMAP_MAYMOVE, 0, 0)
		if n == 0 {
			return grown, true, nil
		}
		err = fmt.Errorf("mremap: %w", n)
	}
	Unmap(p, page)
	return 0, true, err
}

func unlock(p, size uintptr) error {
	if _, _, n := unix.Syscall(unix.SYS_MUNLOCK, p, size, 0); n != 0 {
		return fmt.Errorf("munlock: %w", n)
	}
	return nil
}

// Unmap returns what Map mapped.
func Unmap(p, size uintptr) { unix.Syscall(unix.SYS_MUNMAP, p, size, 0) }

// Locked reports whether the mapping that holds a page is locked (VM_LOCKED). MADV_COLD is a hint that changes no
// contents; the kernel refuses it with EINVAL for locked memory, and for huge pages and devices (can_madv_lru_vma,
// mm/madvise.c).
//
//go:nosplit
//go:norace
//go:nocheckptr
func Locked(addr, page uintptr) bool {
	return unix.Errno(Errno(Syscall(unix.SYS_MADVISE, addr, page, unix.MADV_COLD, 0, 0, 0))) == unix.EINVAL
}
