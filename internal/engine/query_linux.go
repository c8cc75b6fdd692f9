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
// be asked.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) query(w *worker, addr uintptr) (lo, hi uintptr, prot uint32, ok bool) {
	// Not by askMaps: who calls it has no stack left for that.
	q := uintptr(unsafe.Pointer(&w.vec)) // by address: see askMaps
	for i := uintptr(0); i < querySize; i += 8 {
		*at[uint64](q + i) = 0
	}
	*at[uint64](q), *at[uint64](q + 16) = querySize, uint64(addr)
	if raw.Errno(raw.Syscall(unix.SYS_IOCTL, uintptr(s.mapsFD), queryIoctl, q, 0, 0, 0)) != 0 {
		return 0, 0, 0, false
	}
	return *at[uintptr](q + 24), *at[uintptr](q + 32), *at[uint32](q + 40) & queryProt, true
}

// askMaps is query with flags, and the answer left in worker.vec. ENOENT: nothing is mapped there.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) askMaps(w *worker, addr uintptr, flags uint64) (errno uintptr) {
	// nosplit: runs without a g.
	// By address: an index is checked where the compiler does not optimize, and the check needs stack.
	q := uintptr(unsafe.Pointer(&w.vec))
	for i := uintptr(0); i < querySize; i += 8 {
		*at[uint64](q + i) = 0
	}
	*at[uint64](q), *at[uint64](q + 8), *at[uint64](q + 16) = querySize, flags, uint64(addr)
	return raw.Errno(raw.Syscall(unix.SYS_IOCTL, uintptr(s.mapsFD), queryIoctl, q, 0, 0, 0))
}

// asked is a mapping as askMaps was told of it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (l *mapLine) asked(w *worker) {
	q := uintptr(unsafe.Pointer(&w.vec))
	l.Lo, l.Hi, l.Offset = *at[uintptr](q + 24), *at[uintptr](q + 32), *at[uint64](q + 56)
	l.Prot, l.Shared = *at[uint32](q + 40)&queryProt, *at[uint32](q + 40)&queryShared != 0
	l.Inode, l.Dev = *at[uint64](q + 64), uint64(*at[uint32](q + 72))<<32|uint64(*at[uint32](q + 76))
}

// PROCMAP_QUERY and struct procmap_query, include/uapi/linux/fs.h.
const (
	queryIoctl  = 0xc0686611
	querySize   = 104
	queryProt   = 7 // the low bits of vma_flags are those of PROT_READ, PROT_WRITE and PROT_EXEC
	queryShared = 8
	queryOrNext = 0x10
)

// lineFrom finds the mapping that holds an address or, where there is none, the next one, and reports whether there is
// one. The kernel is asked for it alone; where it does not answer that, all mappings are read once a command, which may fail.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) lineFrom(w *worker, l *mapLine, addr uintptr) bool {
	c := &s.cmd
	c.lineFrom = addr
	deep(findLine, uintptr(unsafe.Pointer(w)))
	*l = c.found
	return c.lineFrom != 0
}

// findLine is lineFrom for the command.
//
//go:nosplit
//go:norace
//go:nocheckptr
func findLine(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	l, addr := &c.found, c.lineFrom
	if c.list == 0 {
		switch unix.Errno(s.askMaps(w, addr, queryOrNext)) {
		case 0:
			l.asked(w)
			return
		case unix.ENOENT:
			c.lineFrom = 0
			return
		}
		n := s.readMaps(w)
		if n == 0 {
			s.unread()
			c.lineFrom = 0
			return
		}
		c.list, c.listEnd, c.listAt = s.text, s.text+n, s.text
	}
	if l.ParseAt(c.listAt, c.listEnd); l.Lo > addr {
		c.listAt = c.list
	}
	for p := c.listAt; p < c.listEnd; {
		_, next := l.ParseAt(p, c.listEnd)
		if l.Hi > addr {
			c.listAt = p
			return
		}
		p = next
	}
	c.lineFrom = 0
}
