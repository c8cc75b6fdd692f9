//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// In the flags of a fault of shared memory, beside those of the message: a page of an open granule that is
// not mapped, and from placeShift on the number of the page in its granule. A job of the disk threads has
// no room for the address.
const (
	flagQuiet  = 1 << 8
	flagPlaced = 1 << 8 // of a file: the place is that of the page that a thread waits for
	placeShift = 9
)

// resolveShared makes a claimed granule accessible, or a single page where nothing was claimed. A
// reader leaves to the disk threads what has to come from swap, and what the kernel refuses while an event
// is unread.
//
//go:nosplit
//go:norace
//go:nocheckptr
func resolveShared(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t, g := at[target](w.now.target), w.now.g
	lo, _ := t.span(g, 1)
	if w.reads != 0 {
		w.now.flags = w.now.flags&(1<<placeShift-1) | uint64((w.now.addr-lo)/t.page)<<placeShift
	} else {
		w.now.addr = lo + uintptr(w.now.flags>>placeShift)*t.page
	}
	for deep(share, arg); !w.carry.ok; deep(share, arg) {
		raw.Store32(&w.storing, 0)
		if w.reads != 0 {
			deep(toDisk, arg)
			return
		}
		s.nap(w, 50e3)
	}
	if w.carry.source == SourceDisk {
		w.endStorage(w.now.time)
	}
	s.finish(w, t, g, w.now.seq, w.carry.source)
}

// quiet answers a message for a page of an open granule. It is no first touch of the granule:
// the page lay in it without being mapped, as a hole of the object does, or was taken from the page tables
// since (swap, MADV_DONTNEED by the owner). The caller has counted the target in flight.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) quiet(w *worker, t *target, g uintptr) {
	w.now.target, w.now.g, w.now.seq = uintptr(unsafe.Pointer(t)), g, 0
	w.now.flags |= flagQuiet
	deep(resolveShared, uintptr(unsafe.Pointer(w)))
}

// share maps what the object has of the worker's granule, and gives the touched page alone to the
// object where that has a hole: the kernel would not have allocated the others. For writes alone it
// takes the protection away.
//
//go:nosplit
//go:norace
//go:nocheckptr
func share(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t := at[target](w.now.target)
	addr, length := t.span(w.now.g, 1)
	touched := w.now.addr &^ (t.page - 1)
	if w.now.flags&flagQuiet != 0 {
		addr, length = touched, t.page
	}
	w.carry.source, w.carry.ok = SourceMemory, false
	if w.now.flags&uint64(uffd.PagefaultFlagMinor) != 0 && s.swapped(w, t, touched) {
		if w.reads != 0 {
			return
		}
		w.carry.source = SourceDisk
		raw.Store32(&w.storing, 1)
	}
	step, tries := length, 0
	for end := addr + length; addr < end; {
		done, e := s.shareOnce(w, t, addr, min(step, end-addr))
		addr += done
		switch unix.Errno(e) {
		case 0:
		case unix.EAGAIN: // the mappings changed: go on from where it stopped, or an event waits to be read
			if tries++; done == 0 && tries > 3 {
				return
			}
		case unix.ENOENT, unix.ESRCH: // several mappings, one of which may not be ours any more
			if step > t.page {
				step = t.page
			} else {
				addr += t.page
			}
		case unix.EEXIST:
			addr += t.page
		default: // EFAULT: a hole, or beyond the end of the file. EIO: a page that the memory has lost
			if denied(e) {
				w.carry.target, w.carry.flags = w.now.target, uint64(e)
				deep(giveUp, arg)
				return
			}
			if addr == touched {
				w.carry.src, w.carry.flags = touched, uint64(e)
				if deep(hole, arg); !w.carry.ok {
					return
				}
			}
			addr += t.page
		}
	}
	w.carry.ok = true
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) shareOnce(w *worker, t *target, addr, length uintptr) (done, errno uintptr) {
	if t.kind == kindWrites {
		w.args[0], w.args[1], w.args[2] = uint64(addr), uint64(length), uint64(uffd.WriteProtectModeDontwake)
		e := s.ioctl(w, t.uffd, uffd.IoctlWriteProtect)
		if e != 0 {
			return 0, e
		}
		return length, 0
	}
	w.args[0], w.args[1], w.args[2], w.args[3] = uint64(addr), uint64(length), uint64(uffd.ContinueModeDontwake), 0
	e := s.ioctl(w, t.uffd, uffd.IoctlContinue)
	return filled(w.args[3]), e
}

// filled is the length that a fill answered with; an errno is negative.
//
//go:nosplit
//go:norace
//go:nocheckptr
func filled(answer uint64) uintptr {
	return uintptr(max(int64(answer), 0))
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) ioctl(w *worker, fd uint32, request uffd.Ioctl) (errno uintptr) {
	return raw.Errno(raw.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(unsafe.Pointer(&w.args)), 0, 0, 0))
}

// giveUp makes a target plain memory whose faults may not be answered, as carry.flags says: the object, or the
// memory itself where it is protected, has the contents. Page by page it would be as many mappings.
//
//go:nosplit
//go:norace
//go:nocheckptr
func giveUp(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t, e := at[target](w.carry.target), uintptr(w.carry.flags)
	call := uintptr(callContinue)
	if t.kind == kindWrites {
		call = callWriteProtect
	}
	s.bar(call, e)
	s.refuse(t, e)
	s.unregisterPieces(w, t, t.lo, t.hi)
	w.carry.source, w.carry.ok = SourceUnknown, true
}

// holeTries bounds how often a hole is looked at that somebody else may have filled meanwhile.
const holeTries = 16

// hole gives the object a page at carry.src, as the kernel does at a first touch, be it a read or a write.
// Where that cannot be had (no memory, a full tmpfs, no huge page) the page is unregistered: the thread
// gets from the kernel what it would have got without us.
//
//go:nosplit
//go:norace
//go:nocheckptr
func hole(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t, addr, e := at[target](w.now.target), w.carry.src, uintptr(w.carry.flags)
	w.carry.ok = true
	for try := 0; t.kind == kindShared && unix.Errno(e) == unix.EFAULT && try < holeTries; try++ {
		if e = s.zero(w, t, addr); e == 0 {
			w.carry.source = SourceZero
			return
		}
		if unix.Errno(e) == unix.EEXIST { // the object or the page tables have it by now
			e = uintptr(unix.EFAULT)
			if is, _ := s.present(w, addr); is {
				return
			}
			if _, again := s.shareOnce(w, t, addr, t.page); again == 0 || unix.Errno(again) == unix.EEXIST {
				return
			}
		} else if unix.Errno(e) == unix.EFAULT {
			w.carry.source = SourceUnknown
			return // beyond the end of the file: the thread finds out itself
		}
	}
	switch unix.Errno(e) {
	case unix.EAGAIN:
		w.carry.ok = false
	case unix.ENOENT, unix.ESRCH:
		w.carry.source = SourceUnknown // the memory is gone; the thread gets what that deserves
	default:
		w.carry.source = SourceUnknown
		raw.Add64(&s.errors, 1)
		raw.Add64(&at[counters](t.counters).errors, 1)
		raw.Store64(&s.lastErr, uint64(e))
		s.unregister(w, t.uffd, addr, t.page)
	}
}

// zero fills a hole. The kernel has no ZEROPAGE for huge pages.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) zero(w *worker, t *target, addr uintptr) (errno uintptr) {
	if t.page != s.pageSize {
		w.args[0], w.args[1], w.args[2], w.args[3], w.args[4] = uint64(addr), uint64(s.zeros), uint64(t.page), uint64(uffd.CopyModeDontwake), 0
		return s.ioctl(w, t.uffd, uffd.IoctlCopy)
	}
	w.args[0], w.args[1], w.args[2], w.args[3] = uint64(addr), uint64(t.page), uint64(uffd.ZeropageModeDontwake), 0
	return s.ioctl(w, t.uffd, uffd.IoctlZeropage)
}

// swapped reports whether a page that the object has is not in memory: mincore looks it up in the page
// cache where the page tables have nothing (mincore_page, mm/mincore.c). Huge pages are not swapped.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) swapped(w *worker, t *target, addr uintptr) bool {
	v := uintptr(unsafe.Pointer(&w.vec))
	if t.page != s.pageSize || raw.Errno(raw.Syscall(unix.SYS_MINCORE, addr, s.pageSize, v, 0, 0, 0)) != 0 {
		return false
	}
	return *at[uint8](v)&1 == 0
}

// askedShared is asked for shared memory: a COPY that is to protect the page is refused with EINVAL where
// WP is not registered, and with ENOENT where nothing is, or not one mapping (mfill_atomic,
// mm/userfaultfd.c); it changes nothing in either case. It waits for events to be read, so no reader calls it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) askedShared(w *worker, t *target, addr, length uintptr) int {
	for {
		w.args[0], w.args[1], w.args[2], w.args[3], w.args[4] = uint64(addr), uint64(s.zeros), uint64(length), uint64(uffd.CopyModeDontwake|uffd.CopyModeWP), 0
		e := s.ioctl(w, t.uffd, uffd.IoctlCopy)
		is := s.understood(e)
		switch {
		case is == answerNobody && !denied(e):
			return answerNo // a hole, or there is no memory for it
		case is != answerLater:
			return is
		}
		s.nap(w, 20e3)
	}
}
