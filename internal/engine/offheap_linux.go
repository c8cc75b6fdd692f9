//go:build linux && (amd64 || arm64)

package engine

import (
	"fmt"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// newOffHeap maps size zeroed bytes that the garbage collector does not know. Pages cost memory
// only once they are touched: also where the process has asked for all of its memory to be locked (mlockall with
// MCL_FUTURE). A later mlockall(MCL_CURRENT) fills them.
func newOffHeap(size uintptr) (uintptr, error) {
	p, _, err := raw.Map(size, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return 0, fmt.Errorf("map %d bytes for the engine: %w", size, err)
	}
	return p, nil
}

// freeOffHeap returns memory of newOffHeap.
func freeOffHeap(p, size uintptr) {
	if p != 0 {
		raw.Unmap(p, size)
	}
}

// at turns an address of off-heap memory into a pointer.
//
//go:nosplit
//go:norace
//go:nocheckptr
func at[T any](p uintptr) *T {
	return (*T)(unsafe.Pointer(p))
}

// empty zeroes memory of newOffHeap, in whole pages. Its pages are given back where that is not refused.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) empty(p, size uintptr) {
	if p == 0 || raw.Errno(raw.Syscall(unix.SYS_MADVISE, p, size, unix.MADV_DONTNEED, 0, 0, 0)) == 0 {
		return
	}
	for end := p + size; p < end; p += 8 {
		raw.Store64(at[uint64](p), 0)
	}
}
