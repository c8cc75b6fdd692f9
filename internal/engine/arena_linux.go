//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// zerosLen is the size of the source of zero pages.
const zerosLen = 2 << 20

// MostPage is the size of the largest page that AddShared can fill.
const MostPage = zerosLen

// fill gives a granule of an arena what the kernel itself would: the shared zero page to a
// reader, zeroed pages to a writer. Nobody is woken. Pages that are there already stay. ok is false when
// the kernel refuses for the moment.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) fill(w *worker, t *target, g uintptr, flags uint64) (source uint8, ok bool) {
	addr, length := t.span(g, 1)
	write := flags&uint64(uffd.PagefaultFlagWrite) != 0
	source, tries, step := uint8(SourceZero), 0, uintptr(zerosLen)
	for length > 0 {
		n := min(length, step)
		done, e := s.fillOnce(w, t, addr, n, write)
		addr += done
		length -= done
		switch unix.Errno(e) {
		case 0:
		case unix.EAGAIN:
			// The mappings changed meanwhile: go on from where it stopped. Or an event waits to be read.
			if tries++; done == 0 && tries > 3 {
				return SourceUnknown, false
			}
		case unix.EEXIST:
			// A page of a wider granule that was moved home, or that the owner did not discard: skip it.
			if raw.Load64(&t.old) != 0 {
				source = SourceMemory
			}
			addr += s.pageSize
			length -= s.pageSize
		case unix.ENOENT, unix.ESRCH:
			if n > s.pageSize { // a part of a wider granule may be
				step = s.pageSize
				continue
			}
			// The memory is gone; the thread gets what that deserves.
			w.now.gone = w.now.gone || addr == w.now.addr&^(s.pageSize-1)
			addr += s.pageSize
			length -= s.pageSize
		default:
			if w.bus.ours {
				return SourceUnknown, false // a disk thread decides, with a descriptor that is ours for certain
			}
			return SourceUnknown, s.openArena(w, t, e)
		}
	}
	return source, true
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) fillOnce(w *worker, t *target, addr, length uintptr, write bool) (done, errno uintptr) {
	args := uintptr(unsafe.Pointer(&w.args))
	request, out := uffd.IoctlZeropage, &w.args[3]
	if write {
		request, out = uffd.IoctlCopy, &w.args[4]
		w.args[0], w.args[1], w.args[2], w.args[3] = uint64(addr), uint64(s.zeros), uint64(length), uint64(uffd.CopyModeDontwake)
	} else {
		w.args[0], w.args[1], w.args[2] = uint64(addr), uint64(length), uint64(uffd.ZeropageModeDontwake)
	}
	*out = 0 // older kernels leave it untouched when nothing was done
	e := raw.Errno(raw.Syscall(unix.SYS_IOCTL, uintptr(t.uffd), uintptr(request), args, 0, 0, 0))
	if int64(*out) > 0 {
		done = uintptr(*out)
	}
	return done, e
}

// openArena fails open: the range is unregistered, so that the kernel answers its faults itself. With
// layers that would lose what they hold: they have to come home first, which takes too long here.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) openArena(w *worker, t *target, errno uintptr) (ok bool) {
	s.refuse(t, errno)
	if raw.Load64(&t.old) != 0 {
		w.fillErr = errno
		return false
	}
	s.unregister(w, t.uffd, t.lo, t.hi-t.lo)
	return true
}

// discarded reports whether the owner gave the page of an open granule back, so that its touch is
// a first touch again. mincore says 0 for anonymous memory that is not present, also for what is on its way
// from swap: that has an entry in the page table.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) discarded(w *worker, t *target, addr uintptr) bool {
	if t.kind != kindArena {
		return false
	}
	v := uintptr(unsafe.Pointer(&w.vec))
	if raw.Errno(raw.Syscall(unix.SYS_MINCORE, addr&^(s.pageSize-1), s.pageSize, v, 0, 0, 0)) != 0 {
		return false
	}
	if *at[uint8](v)&1 != 0 {
		return false
	}
	is, _ := s.present(w, addr)
	return !is
}
