//go:build linux && (amd64 || arm64)

package engine

import (
	"fmt"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// newOffHeap maps size zeroed bytes that the garbage collector does not know. Pages cost memory
// only once they are touched.
func newOffHeap(size uintptr) (uintptr, error) {
	b, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return 0, fmt.Errorf("map %d bytes for the engine: %w", size, err)
	}
	return uintptr(unsafe.Pointer(unsafe.SliceData(b))), nil
}

// freeOffHeap returns memory of newOffHeap.
func freeOffHeap(p, size uintptr) {
	if p != 0 {
		unix.Syscall(unix.SYS_MUNMAP, p, size, 0)
	}
}

// at turns an address of off-heap memory into a pointer.
//
//go:nosplit
//go:norace
//go:nocheckptr
func at[T any](p uintptr) *T {
	// nosplit: used on threads without a g.
	return (*T)(unsafe.Pointer(p))
}

// empty zeroes memory of newOffHeap, in whole pages. Its pages are given back where that is not refused.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) empty(p, size uintptr) {
	// nosplit: runs without a g.
	if p == 0 || raw.Errno(raw.Syscall(unix.SYS_MADVISE, p, size, unix.MADV_DONTNEED, 0, 0, 0)) == 0 {
		return
	}
	for end := p + size; p < end; p += 8 {
		raw.Store64(at[uint64](p), 0)
	}
}
