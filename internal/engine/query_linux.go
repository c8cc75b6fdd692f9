//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// mapped reports whether all pages of a range are in memory.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) mapped(w *worker, addr, length uintptr) bool {
	// nosplit: runs without a g.
	v := uintptr(unsafe.Pointer(&w.vec))
	for length > 0 {
		n := min(length, uintptr(len(w.vec))*s.pageSize)
		if raw.Errno(raw.Syscall(unix.SYS_MINCORE, addr, n, v, 0, 0, 0)) != 0 {
			return true // cannot be told: do not make the thread wait for another one
		}
		for i := uintptr(0); i < n/s.pageSize; i++ {
			if *at[uint8](v + i)&1 == 0 {
				return false
			}
		}
		addr += n
		length -= n
	}
	return true
}

// query asks for the mapping that holds an address, and its protection. Kernels before 6.11 cannot
// be asked (PROCMAP_QUERY, include/uapi/linux/fs.h).
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) query(w *worker, addr uintptr) (lo, hi uintptr, prot uint32, ok bool) {
	// nosplit: runs without a g.
	const size, query = 104, 0xc0686611
	// By address: an index is checked where the compiler does not optimize, and the check needs stack.
	q := uintptr(unsafe.Pointer(&w.vec))
	for i := uintptr(0); i < size; i += 8 {
		*at[uint64](q + i) = 0
	}
	*at[uint64](q), *at[uint64](q + 16) = size, uint64(addr)
	if raw.Errno(raw.Syscall(unix.SYS_IOCTL, uintptr(s.mapsFD), query, q, 0, 0, 0)) != 0 {
		return 0, 0, 0, false
	}
	// The low bits of vma_flags are those of PROT_READ, PROT_WRITE and PROT_EXEC.
	return *at[uintptr](q + 24), *at[uintptr](q + 32), *at[uint32](q + 40) & 7, true
}
