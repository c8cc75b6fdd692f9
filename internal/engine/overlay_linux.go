//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

const remapOver = unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED

// sourceOf tells where a file's page at an address is, or SourceUnknown where mincore may not tell.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) sourceOf(w *worker, t *target, addr uintptr) uint8 {
	page := addr &^ (s.pageSize - 1)
	if t.kind == kindFile && t.flags&tgAnonymous != 0 {
		return s.sourceOfMemory(w, page)
	}
	if t.flags&tgMincore == 0 {
		return SourceUnknown
	}
	if t.kind == kindOverlay { // else its mapping is in place
		page += t.alias - t.lo
	}
	if s.mapped(w, page, s.pageSize) {
		return SourcePageCache
	}
	return SourceDisk
}

// sourceOfMemory tells where a page of private memory is whose access was taken away.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) sourceOfMemory(w *worker, page uintptr) uint8 {
	if w.bus.guard {
		return SourceZero // which the page map shows as swapped out
	}
	if s.mapped(w, page, s.pageSize) {
		return SourceMemory
	}
	switch is, known := s.present(w, page); {
	case !known:
		return SourceUnknown
	case is:
		return SourceDisk
	}
	return SourceZero
}

// resolveFile puts the worker's granule, of a file, back, or leaves that to a disk thread.
//
//go:nosplit
//go:norace
//go:nocheckptr
func resolveFile(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t := at[target](w.now.target)
	if !s.restored(w) && raw.Load64(&w.relieved) == 0 {
		lo, _ := t.span(w.now.g, 1)
		w.now.flags = w.now.flags&(1<<placeShift-1) | flagPlaced | uint64((max(w.now.addr, lo)-lo)/s.pageSize)<<placeShift
		deep(toDisk, arg)
		return
	}
	deep(handOver, arg)
}

// restored runs restore for the worker's fault and reports whether it was done. A reader may wait for
// nothing but its messages, so it leaves what would take longer to a disk thread.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) restored(w *worker) bool {
	w.now.left = false
	deep(restore, uintptr(unsafe.Pointer(w)))
	return !w.now.left
}

// restore puts a granule of the real mapping back over the placeholder.
//
//go:nosplit
//go:norace
//go:nocheckptr
func restore(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t, g := at[target](w.now.target), w.now.g
	reads := w.reads != 0
	for try := 0; raw.Load64(&w.relieved) == 0; try++ { // else somebody may have mapped something there since
		first, n := g, uintptr(1)
		if s.mapsShort() || try > 0 {
			if reads {
				w.now.left = true
				return
			}
			first, n = s.widen(w, t, g)
		}
		addr, length := t.span(first, n)
		if length > s.pageSize && !s.whole(w, t, addr, length) {
			if reads {
				w.now.left = true
				return
			}
			s.unclaim(t, first, n, g)
			deep(restorePages, arg)
			break
		}
		s.adopt(w, t, addr, length)
		e := s.putBack(w, t, addr, length, addr, protUnknown)
		if e == 0 {
			raw.Add64(&s.maps, t.mapsAdded(first, n))
			s.openAround(w, t, first, n, g)
			break
		}
		s.unclaim(t, first, n, g)
		if try > 0 {
			if deep(restoreMapping, arg); w.carry.ok {
				break
			}
		}
		s.restoreFailed(w, t, e, try)
		if s.mute() { // the surgeon puts it back, or nobody can
			w.now.partial = true
			return
		}
	}
}

// restorePages puts back those pages of the worker's granule that are still ours. Where nobody may ask, the page
// that a thread waits for is: its message proves it. The granule is armed still then.
//
//go:nosplit
//go:norace
//go:nocheckptr
func restorePages(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t := at[target](w.now.target)
	addr, length := t.span(w.now.g, 1)
	for end := addr + length; addr < end; addr += s.pageSize {
		is := s.asked(w, t, addr, s.pageSize)
		if is == answerNobody {
			proven := w.now.flags&flagPlaced != 0
			lo, _ := t.span(w.now.g, 1)
			if !proven || addr != lo+uintptr(w.now.flags>>placeShift)*s.pageSize {
				w.now.partial = true
				continue
			}
		} else if is != answerYes {
			continue
		}
		s.adopt(w, t, addr, s.pageSize)
		for try := 0; ; try++ {
			e := s.putBack(w, t, addr, s.pageSize, addr, protUnknown)
			if e == 0 {
				break
			}
			s.restoreFailed(w, t, e, try)
			if s.mute() {
				w.now.partial = true
				return
			}
		}
		raw.Add64(&s.maps, 1)
	}
}

// adopt gives a piece of the alias the protection that the placeholder has there by now: the
// application may have called mprotect on its mapping, and what is restored must obey.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) adopt(w *worker, t *target, addr, length uintptr) {
	lo, hi, prot, ok := s.query(w, addr)
	if !ok {
		return
	}
	if prot != t.prot {
		raw.Store32(&t.changed, 1) // pieces of the alias differ from now on
	}
	if raw.Load32(&t.changed) != 0 && lo <= addr && addr+length <= hi {
		raw.Syscall(unix.SYS_MPROTECT, t.alias+addr-t.lo, length, uintptr(prot), 0, 0, 0)
	}
}

// restoreFailed waits for a restore to become possible. Waking the thread instead would have it
// fault again for ever, and its data is nowhere else. The usual cause is the limit on mappings:
// the reserve is given up for it. What is left to try then is in putBack.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) restoreFailed(w *worker, t *target, errno uintptr, try int) {
	s.refuse(t, errno)
	raw.Store64(&s.maps, s.maxMaps+1)
	if unix.Errno(errno) == unix.ENOMEM && s.giveUpReserve() {
		return
	}
	if try > 0 {
		if w.reads == 0 {
			raw.Store64(&s.waited, uint64(raw.Nanotime()))
		}
		s.nap(w, 1e6)
	}
}
