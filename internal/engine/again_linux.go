//go:build linux && (amd64 || arm64)

package engine

import (
	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// The descriptor for memory has events, and while one is unread every fill is refused. Who reads the
// descriptor must therefore not wait for a fill: the disk threads do.
//
// A REMOVE event says that the owner is about to discard pages. Its thread goes on as soon as the
// event was read; from then until the layers' copies are discarded too, no page of theirs may come
// back. So whoever reads the descriptor or moves pages home holds one lock, s.reading.

// openAgain is open by a disk thread, until the kernel does it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func openAgain(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	if w.now.moved.length != 0 {
		deep(followMove, arg)
		return
	}
	t, g := at[target](w.now.target), w.now.g
	for {
		if s.mute() { // the surgeon brings home what there is
			w.now.partial = true
			s.finish(w, t, g, w.now.seq, SourceUnknown)
			return
		}
		s.lock(w, &s.reading)
		w.fillErr = 0
		source, ok := s.open(w, t, g, w.now.flags)
		if !ok && w.fillErr != 0 {
			// It will not be filled. The kernel does that itself once it is plain memory again.
			w.carry.target = w.now.target
			deep(openTarget, arg)
			ok = true
		}
		unlock(&s.reading)
		if ok {
			s.finish(w, t, g, w.now.seq, source)
			return
		}
		s.nap(w, 50e3)
	}
}

// memoryEvent answers what the owner of memory did to it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func memoryEvent(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	m := w.now.message
	a, b, length := *at[uintptr](m + 8), *at[uintptr](m + 16), *at[uintptr](m + 24)
	switch *at[uffd.Event](m) {
	case uffd.EventRemove:
		s.removed(w, a, b)
	case uffd.EventRemap:
		if s.moving.has(b) {
			return // the surgeon's own
		}
		s.movedAway(w, a, b, length)
	}
}

// removed discards from the layers what the owner discards from [lo, hi).
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) removed(w *worker, lo, hi uintptr) {
	tab := uintptr(raw.Load64(&s.table))
	for i := uintptr(0); i < uintptr(at[table](tab).n); i++ {
		t := at[target](*at[uintptr](tab + tableHeader + i*8))
		if t.kind == kindWrites && t.lo < hi && lo < t.hi && t.flags&tgAnonymous != 0 {
			// The protection goes with the pages.
			raw.Add64(&at[counters](t.counters).discarded, uint64((min(hi, t.hi)-max(lo, t.lo))/t.page))
		}
		if t.kind == kindArena && t.lo < hi && lo < t.hi {
			raw.Add32(&t.inflight, 1) // no layer is given back meanwhile
			raw.Store64(&t.removed, uint64(raw.Nanotime()))
			if raw.Load32(&t.watching) != 0 {
				// Not now: the young layer may still be registered here, and would tell us, who read that, of
				// what we discard. The surgeon does it.
				t.mark(max(lo, t.lo), min(hi, t.hi), s.pageSize)
			} else {
				s.forget(t, max(lo, t.lo), min(hi, t.hi))
			}
			raw.Add32(&t.inflight, ^uint32(0))
		}
	}
}

// mark notes that the owner discards pages while the surgeon takes them away: the owner's thread goes on
// as soon as the event was read, and may find nothing in the target any more.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *target) mark(lo, hi, page uintptr) {
	for i := (lo - t.lo) / page; i < (hi-t.lo)/page; i++ {
		*at[uint64](t.marks + i/64*8) |= 1 << (i % 64) // the one reader of the descriptor writes
	}
}

// dropMarked discards what was marked from the layers, and ends the marking.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) dropMarked(w *worker, t *target) {
	s.lock(w, &s.reading)
	s.awaitHome(w)
	pages := (t.hi - t.lo) / s.pageSize
	for word := uintptr(0); word < (pages+63)/64; word++ {
		v := raw.Load64(at[uint64](t.marks + word*8))
		for bit := uintptr(0); v != 0 && bit < 64; bit++ {
			if v&(1<<bit) != 0 {
				lo := t.lo + (word*64+bit)*s.pageSize
				s.forget(t, lo, lo+s.pageSize)
			}
		}
	}
	raw.Store32(&t.watching, 0)
	unlock(&s.reading)
}

// marksLen is the size of a target's bitmap of pages.
//
//go:nosplit
//go:norace
//go:nocheckptr
func marksLen(t *target, page uintptr) uintptr {
	return ((t.hi-t.lo)/page/8 + 4095 + 8) &^ 4095
}

// forget discards what the layers hold of [lo, hi). The young one comes first: pages go from there to
// the old one.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) forget(t *target, lo, hi uintptr) {
	if lo >= hi {
		return
	}
	// Also where mlockall has locked them, which plain MADV_DONTNEED refuses. It is older than UFFDIO_MOVE, so it is
	// there where layers are.
	if p := uintptr(raw.Load64(&t.young)); p != 0 {
		raw.Syscall(unix.SYS_MADVISE, p+lo-t.lo, hi-lo, unix.MADV_DONTNEED_LOCKED, 0, 0, 0)
	}
	if p := uintptr(raw.Load64(&t.old)); p != 0 {
		raw.Syscall(unix.SYS_MADVISE, p+lo-t.lo, hi-lo, unix.MADV_DONTNEED_LOCKED, 0, 0, 0)
	}
}
