//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// What an owner advises (madvise) while a placeholder lies over its mapping is a flag of the placeholder, and goes with it.
// So before a piece is replaced its flags are read, and the alias, of which the file's mapping is restored, is advised so.
//
// /proc/self/smaps has the flags, at the cost of all memory of the process. But advice that a mapping has already changes nothing,
// and other advice for one page cuts that page off the mapping. So one page is advised, and the mapping looked at again.
//
// What was touched after the advice was restored without it. It lies between pieces that have it, and gets it with them.

// advice is MADV_NORMAL, MADV_RANDOM or MADV_SEQUENTIAL, plus adviceHuge for MADV_HUGEPAGE. A placeholder has none of them.
const (
	adviceHuge  = 4
	adviceCount = 8
)

// heed is what is known of advice while a command goes over a target's mappings, ascending.
type heed struct {
	lo, hi uintptr // the mapping that it is at
	cover  bool    // that one is our placeholder
	last   uint32  // advice of the last piece of the placeholder
	any    bool    // there was one
	from   uintptr // where the pieces of the file begin that lie side by side in front of this one
	to     uintptr // and end
}

// heedLine goes on to the mapping heed.lo.
//
//go:nosplit
//go:norace
//go:nocheckptr
func heedLine(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	h := &c.heed
	t := at[target](c.target)
	if h.to != h.lo {
		h.from, h.any, h.last = h.lo, false, unix.MADV_NORMAL // something else lies between
	}
	h.to = h.hi
	if !h.cover && c.op != opRearm {
		return // stays as it is
	}
	advice := h.last
	if h.hi-h.lo > s.pageSize {
		w.carry.dst, w.carry.length = h.lo, h.hi-h.lo
		deep(askAdvice, arg)
		advice = uint32(w.carry.flags)
	}
	if !h.cover {
		if h.hi-h.lo > s.pageSize && advice != unix.MADV_NORMAL {
			adviseRange(t.alias+h.lo-t.lo, h.hi-h.lo, advice)
		}
		return
	}
	if advice != unix.MADV_NORMAL {
		adviseRange(t.alias+h.lo-t.lo, h.hi-h.lo, advice)
		if !h.any || h.last == advice {
			s.heedBefore(t, h.lo, advice)
		}
	}
	h.from, h.any, h.last = h.hi, true, advice
}

// heedBefore advises the pieces of the file in front of an address as those around them.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) heedBefore(t *target, lo uintptr, advice uint32) {
	h := &s.cmd.heed
	if h.from >= lo || advice == unix.MADV_NORMAL {
		return
	}
	if s.cmd.op == opRearm {
		adviseRange(t.alias+h.from-t.lo, lo-h.from, advice)
	} else {
		adviseRange(h.from, lo-h.from, advice)
	}
}

//go:nosplit
//go:norace
//go:nocheckptr
func adviseRange(lo, length uintptr, advice uint32) {
	raw.Syscall(unix.SYS_MADVISE, lo, length, uintptr(advice%adviceHuge), 0, 0, 0)
	if advice&adviceHuge != 0 {
		raw.Syscall(unix.SYS_MADVISE, lo, length, unix.MADV_HUGEPAGE, 0, 0, 0)
	}
}

// askAdvice finds the advice of carry's mapping, and leaves it as it was. Nobody else changes it meanwhile. Where the kernel does not
// answer queries it counts as MADV_NORMAL.
//
//go:nosplit
//go:norace
//go:nocheckptr
func askAdvice(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &w.carry
	c.flags = unix.MADV_NORMAL
	lo, hi, _, ok := s.query(w, c.dst)
	if !ok {
		return
	}
	for advice := uint32(0); advice < adviceCount; advice++ {
		if advice%adviceHuge > unix.MADV_SEQUENTIAL {
			continue
		}
		raw.Syscall(unix.SYS_MADVISE, c.dst, s.pageSize, uintptr(advice%adviceHuge), 0, 0, 0)
		huge := uintptr(unix.MADV_NOHUGEPAGE)
		if advice&adviceHuge != 0 {
			huge = unix.MADV_HUGEPAGE
		}
		if s.cmd.heed.cover { // of a file's mapping it is not known which of the two it had
			raw.Syscall(unix.SYS_MADVISE, c.dst, s.pageSize, huge, 0, 0, 0)
		}
		if nowLo, nowHi, _, ok := s.query(w, c.dst); ok && nowLo == lo && nowHi == hi {
			c.flags = uint64(advice)
			return
		}
	}
}

// heedEnd is heedLine for what lies behind the last piece.
//
//go:nosplit
//go:norace
//go:nocheckptr
func heedEnd(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	h := &s.cmd.heed
	s.heedBefore(at[target](s.cmd.target), h.to, h.last)
}

// heedMapping is heedLine for a mapping of the command's target.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) heedMapping(w *worker, lo, hi uintptr, cover bool) {
	h := &s.cmd.heed
	h.lo, h.hi, h.cover = lo, hi, cover
	deep(heedLine, uintptr(unsafe.Pointer(w)))
}
