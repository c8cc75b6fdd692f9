//go:build linux && (amd64 || arm64)

package engine

import (
	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// What /proc/self/smaps tells of a mapping costs processor time by all memory that the process has, since the kernel walks
// the page tables of every mapping before it. What follows asks about one mapping, for the same at whatever size.

// bounds are those of the mapping that holds an address, and the size of its pages. Kernels before 6.11 do not tell them
// (PROCMAP_QUERY).
func (e *Engine) bounds(addr uintptr) (lo, hi, page uintptr, ok bool) {
	var q [querySize / 8]uint64
	q[0], q[2] = querySize, uint64(addr)
	errno := descriptor{e, e.s.mapsFD}.ioctl(queryIoctl, q[:])
	return uintptr(q[3]), uintptr(q[4]), uintptr(q[6]), errno == 0
}

// PageSize is that of the mapping which holds an address; ok is false where the kernel does not tell it.
func (e *Engine) PageSize(addr uintptr) (page uintptr, ok bool) {
	_, _, page, ok = e.bounds(addr)
	return page, ok
}

// Dontfork reports whether private memory is kept from children (MADV_DONTFORK). The flag is one of a mapping, so giving
// it to one page cuts that page off the mapping unless it has the flag. ok is false where that cannot be told.
func (e *Engine) Dontfork(addr uintptr) (yes, ok bool) {
	lo, hi, _, ok := e.bounds(addr)
	if !ok || hi-lo <= e.s.pageSize {
		return false, false
	}
	advise := func(advice uintptr) bool {
		_, _, errno := unix.Syscall(unix.SYS_MADVISE, addr, e.s.pageSize, advice)
		return errno == 0
	}
	if !advise(unix.MADV_DONTFORK) {
		return false, false
	}
	nowLo, nowHi, _, ok := e.bounds(addr)
	if ok && nowLo == lo && nowHi == hi {
		return true, true
	}
	return false, advise(unix.MADV_DOFORK) && ok
}

// IsLocked reports whether the mapping that holds an address, not one of huge pages, is locked in memory.
func (e *Engine) IsLocked(addr uintptr) bool { return raw.Locked(addr, e.s.pageSize) }

// LockedAtOnce reports of a locked shared mapping whether all of it is, and not each page from its first touch on. The kernel fills
// the former, so a second mapping of one of its pages has that page, and of the latter has not. ok is false where there
// cannot be one, since RLIMIT_MEMLOCK is exhausted for example.
func (e *Engine) LockedAtOnce(addr uintptr) (all, ok bool) {
	again, ok := e.duplicate(addr, e.s.pageSize)
	if !ok {
		return false, false
	}
	defer raw.Unmap(again, e.s.pageSize)
	err := eachPresent(again, e.s.pageSize, func(uintptr, uintptr) bool {
		all = true
		return false
	})
	return all, err == nil
}

// MayWrite reports whether a shared mapping, of pages of that size, is writable or may become so (VM_MAYWRITE): whether a
// second mapping of one of its pages may. Where there cannot be one it may, and registering it tells.
func (e *Engine) MayWrite(addr, page uintptr) bool {
	again, ok := e.duplicate(addr, page)
	if !ok {
		return true
	}
	defer raw.Unmap(again, page)
	_, _, errno := unix.Syscall(unix.SYS_MPROTECT, again, page, unix.PROT_READ|unix.PROT_WRITE)
	return errno != unix.EACCES
}

// duplicate maps one page of a shared mapping a second time, with the same flags. It must not be registered: then the second one
// would be too, and where it is locked the kernel would wait for a page of it that nobody knows of.
func (e *Engine) duplicate(addr, page uintptr) (again uintptr, ok bool) {
	again, _, errno := unix.Syscall6(unix.SYS_MREMAP, addr, 0, page, unix.MREMAP_MAYMOVE, 0, 0)
	return again, errno == 0
}
