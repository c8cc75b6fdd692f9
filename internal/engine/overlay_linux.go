//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

const remapOver = unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED

// cached reports whether the granule can be restored without waiting for storage.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) cached(w *worker, t *target, g uintptr) bool {
	// nosplit: runs without a g.
	if t.flags&tgMincore == 0 {
		return false
	}
	addr, length := t.span(g, 1)
	return s.mapped(w, t.alias+addr-t.lo, length)
}

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

// restored runs restore for the worker's fault and reports whether it was done. A reader may wait for
// nothing but its messages, so it leaves what would take longer to a disk thread.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) restored(w *worker) bool {
	// nosplit: runs without a g.
	w.now.left = false
	deep(s.restoreCode, uintptr(unsafe.Pointer(w)))
	return !w.now.left
}

// restore puts a granule of the real mapping back over the placeholder and maps its pages, so that
// the wait for storage is over when the clock stops.
//
//go:nosplit
//go:norace
//go:nocheckptr
func restore(arg uintptr) {
	// nosplit: runs without a g.
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
		if (length > s.pageSize || s.signals) && !w.now.proven && !s.whole(w, t, addr, length) {
			if reads {
				w.now.left = true
				return
			}
			s.unclaim(t, first, n, g)
			deep(s.restorePagesCode, arg)
			break
		}
		if s.adopt(w, t, addr, length); w.now.left {
			return
		}
		e := s.putBack(w, t, addr, length, addr, protUnknown)
		if e == 0 {
			raw.Add64(&s.maps, t.mapsAdded(first, n))
			s.openAround(w, t, first, n, g)
			break
		}
		s.unclaim(t, first, n, g)
		if try > 0 {
			if deep(s.restoreMappingCode, arg); w.carry.ok {
				break
			}
		}
		s.restoreFailed(w, t, e, try)
	}
	if w.bus.ours || w.watches != 0 || raw.Load64(&w.relieved) != 0 || w.now.partial {
		return // see readBus; or the toucher waits for storage itself; or placeholder is left there
	}
	addr, length := t.span(g, 1)
	// MADV_POPULATE_READ fails beyond the end of the file and on I/O errors: the toucher then gets
	// the SIGBUS that the plain mapping would have given it. Before Linux 5.14 it is not known, and
	// the toucher itself waits.
	raw.Syscall(unix.SYS_MADVISE, addr, length, unix.MADV_POPULATE_READ, 0, 0, 0)
}

// readers is how many workers read messages: the first ones.
const readers = 2

// restorePages puts back those pages of the worker's granule that are still ours. Where nobody may ask, the page
// that a thread waits for is: its message proves it, which a signal does not. The granule is armed still then.
//
//go:nosplit
//go:norace
//go:nocheckptr
func restorePages(arg uintptr) {
	// nosplit: runs without a g.
	w := at[worker](arg)
	s := at[shared](w.shared)
	t := at[target](w.now.target)
	addr, length := t.span(w.now.g, 1)
	for end := addr + length; addr < end; addr += s.pageSize {
		is := s.asked(w, t, addr, s.pageSize)
		if is == answerNobody {
			proven := w.now.flags&flagPlaced != 0 && !s.signals
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
	// nosplit: runs without a g.
	lo, hi, prot, ok := s.query(w, addr)
	if !ok {
		w.now.left = w.bus.ours && s.queries // the application has closed the descriptor
		return
	}
	if prot != t.prot {
		raw.Store32(&t.changed, 1) // pieces of the alias differ from now on
	}
	if raw.Load32(&t.changed) != 0 && lo <= addr && addr+length <= hi {
		raw.Syscall(unix.SYS_MPROTECT, t.alias+addr-t.lo, length, uintptr(prot), 0, 0, 0)
	}
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

// mapsAdded is how many mappings more the process has after n granules were restored: a hole in
// the placeholder makes two, a restored neighbour merges.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *target) mapsAdded(first, n uintptr) uint64 {
	// nosplit: runs without a g.
	added := uint64(2)
	if first == 0 || raw.Load32(t.state(first-1)) == gOpen {
		added--
		if first != 0 {
			added--
		}
	}
	if first+n >= t.granules() || raw.Load32(t.state(first+n)) == gOpen {
		added--
		if first+n < t.granules() {
			added--
		}
	}
	return added
}

// widenMost bounds how far a restore reaches to each side when mappings run out.
const widenMost = 1 << 14

// widen claims the armed granules around g: replacing a whole run of the placeholder leaves fewer
// mappings than there were. It reaches less far where something else lies in the run.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) widen(w *worker, t *target, g uintptr) (first, n uintptr) {
	// nosplit: runs without a g.
	for reach := uintptr(widenMost); reach > 0; reach /= 4 {
		first, n = s.claimRun(t, g, reach)
		addr, length := t.span(first, n)
		if n == 1 || s.whole(w, t, addr, length) {
			return first, n
		}
		s.unclaim(t, first, n, g)
	}
	return g, 1
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) claimRun(t *target, g, reach uintptr) (first, n uintptr) {
	// nosplit: runs without a g.
	first, n = g, 1
	for first > 0 && g-first < reach && raw.Cas32(t.state(first-1), gArmed, gPending) {
		first--
		n++
	}
	for end := t.granules(); first+n < end && first+n-g < reach && raw.Cas32(t.state(first+n), gArmed, gPending); {
		n++
	}
	return first, n
}

// openAround publishes the granules that were restored together with g.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) openAround(w *worker, t *target, first, n, g uintptr) {
	// nosplit: runs without a g.
	if n == 1 {
		return
	}
	for i := first; i < first+n; i++ {
		if i != g {
			raw.Store32(t.state(i), gOpen)
		}
	}
	raw.Add64(&s.widened, uint64(n-1))
	raw.Add64(&at[counters](t.counters).widened, uint64(n-1))
	s.wake(w, t, first, n)
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) unclaim(t *target, first, n, g uintptr) {
	// nosplit: runs without a g.
	for i := first; i < first+n; i++ {
		if i != g {
			raw.Store32(t.state(i), gArmed)
		}
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
	// nosplit: runs without a g.
	raw.Add64(&s.errors, 1)
	raw.Add64(&at[counters](t.counters).errors, 1)
	raw.Store64(&s.lastErr, uint64(errno))
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

// stray answers a fault in registered memory that no target covers: a piece of the placeholder that
// the application has grown in place with mremap, or has moved, which event answers.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) stray(w *worker, fd uint32, addr uintptr) {
	// nosplit: runs without a g.
	raw.Add64(&s.strays, 1)
	deep(s.straySharedCode, uintptr(unsafe.Pointer(w)))
	if lo, _, _, ok := s.query(w, addr); ok {
		if t := s.find(lo); t != nil && t.kind == kindOverlay {
			raw.Add32(&t.inflight, 1)
			if raw.Load32(&t.frozen) == 0 {
				for g := t.granule(lo); g < t.granules(); g++ {
					raw.Cas32(t.state(g), gArmed, gOpen)
				}
				s.retrieve(w, t, lo, lo, t.hi-lo)
			}
			raw.Add32(&t.inflight, ^uint32(0))
		}
	}
	w.args[0], w.args[1] = uint64(addr&^(s.pageSize-1)), uint64(s.pageSize)
	raw.Syscall(unix.SYS_IOCTL, uintptr(fd), uffd.IoctlWake, uintptr(unsafe.Pointer(&w.args)), 0, 0, 0)
}

// retrieve has a disk thread bring a piece back: that may have to wait for the kernel.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) retrieve(w *worker, t *target, from, to, length uintptr) {
	// nosplit: runs without a g.
	raw.Add32(&t.inflight, 1) // the target stays until then
	w.now.target, w.now.moved = uintptr(unsafe.Pointer(t)), piece{from, to, length}
	deep(s.toDiskCode, uintptr(unsafe.Pointer(w)))
}

// bringBack puts the real mapping over a piece of the placeholder that the application has moved from
// its place in the target, or grown: nobody will look for it there later. The piece may be longer
// than it was.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) bringBack(w *worker, t *target) {
	// nosplit: runs without a g.
	from, to, length := w.now.moved.from, w.now.moved.to, w.now.moved.length
	piece := min(length, t.hi-from)
	if lo, hi, prot, ok := s.query(w, to); ok {
		if lo == to && s.find(hi-1) == nil {
			length = hi - to
		}
		if prot != t.prot || raw.Load32(&t.changed) != 0 {
			raw.Store32(&t.changed, 1)
			raw.Syscall(unix.SYS_MPROTECT, t.alias+from-t.lo, piece, uintptr(prot), 0, 0, 0)
		}
	}
	for try := 0; s.whole(w, t, to, length); try++ {
		e := s.putBack(w, t, from, length, to, protUnknown)
		if e == 0 {
			break
		}
		s.restoreFailed(w, t, e, try)
	}
	w.args[0], w.args[1] = uint64(to), uint64(length)
	raw.Syscall(unix.SYS_IOCTL, uintptr(t.uffd), uffd.IoctlWake, uintptr(unsafe.Pointer(&w.args)), 0, 0, 0)
}

// nap sleeps without the Go scheduler.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) nap(w *worker, ns uint64) {
	// nosplit: runs without a g.
	w.args[8], w.args[9] = 0, ns
	raw.Syscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&w.args[8])), 0, 0, 0, 0, 0)
}
