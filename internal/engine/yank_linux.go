//go:build linux && (amd64 || arm64)

package engine

import (
	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// Operations of the surgeon on memory, see memory_linux.go.
const (
	opYank          = 8 + iota // takes the target's page tables to the shadow at command.cover
	opMerge                    // moves pages from the young layer to the old one, from offset command.cover on
	opHome                     // collects everything in the old layer and puts that in the target's place
	opReleaseMemory            // brings home and forgets what is not in the sample, from offset command.cover on
)

// discardGrace is how long after a REMOVE event was read its pages may still be in the target: they
// must not be taken away with what stays. Then only parking tells that the owner's thread is done.
const discardGrace = 1e9

//go:nosplit
//go:norace
//go:nocheckptr
func operateMemory(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	t := at[target](c.target)
	c.status, c.errno, c.call, c.took, c.armed = statusOK, 0, 0, 0, 0
	if c.op == opMerge {
		deep(merge, arg)
		return
	}
	if c.op == opReleaseMemory {
		deep(releaseMemory, arg)
		return
	}
	if t.flags&tgHeap == 0 && raw.Nanotime()-int64(raw.Load64(&t.removed)) < discardGrace {
		c.park = 1
	}
	c.took = s.whileStill(w, stillMemory)
}

// stillMemory takes a target that is still away, or brings it home. Who discards of it from now on leaves a mark.
//
//go:nosplit
//go:norace
//go:nocheckptr
func stillMemory(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	t := at[target](c.target)
	// Earlier marks are of no use: what they name may have been touched again before the target was frozen.
	raw.Store32(&t.watching, 1)
	s.empty(t.marks, marksLen(t, s.pageSize))
	switch {
	case c.park == 0 && t.flags&tgHeap == 0 && raw.Nanotime()-int64(raw.Load64(&t.removed)) < discardGrace:
		c.status = statusBusy
	case c.op == opYank:
		deep(yank, arg)
	default:
		deep(goHome, arg)
	}
	raw.Store32(&t.watching, 0)
}

const (
	gapFlags  = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_NORESERVE | unix.MAP_FIXED_NOREPLACE
	yankTries = 1000 // of pieces that change while they are looked at
)

// yank takes everything that the target holds to the shadow. The target is frozen, and nobody changes
// its mappings.
//
//go:nosplit
//go:norace
//go:nocheckptr
func yank(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	t := at[target](c.target)
	locks := s.anyLocks(w, s.text)
	n := s.readMaps(w)
	if n == 0 {
		s.unread()
		return
	}
	w.carry.length = n
	if deep(allKnown, arg); !w.carry.ok {
		return
	}
	// First: what is discarded meanwhile must be discarded there too.
	if t.old == 0 {
		raw.Store64(&t.old, uint64(c.cover))
	} else {
		raw.Store64(&t.young, uint64(c.cover))
	}
	w.carry.flags = 0
	next := t.lo
	var l mapLine
	for p := s.text; p < s.text+n; {
		_, p = l.ParseAt(p, s.text+n)
		lo, hi := max(l.Lo, next), min(l.Hi, t.hi)
		if lo >= hi {
			continue
		}
		s.forget(t, next, lo)
		next = hi
		for end := lo; lo < hi; lo = end {
			is := answerNo
			if end = hi; l.Inode == 0 && !l.Shared {
				end, is = s.piece(w, t, lo, hi)
			}
			if is == answerNo {
				s.forget(t, lo, end) // somebody else's, or a page that was left there
			}
			if is == answerNobody {
				c.fail(callContinue, s.barredBy(callContinue)) // it stays where it is
			}
			if is != answerYes {
				continue
			}
			if locks && raw.Locked(lo, s.pageSize) {
				c.status = statusLocked // it stays where it is
				continue
			}
			if locks && uintptr(t.old) != c.cover { // mlockall locks that; what is to be one with it is not locked
				raw.Syscall(unix.SYS_MUNLOCK, uintptr(t.old)+lo-t.lo, end-lo, 0, 0, 0, 0)
			}
			to := c.cover + lo - t.lo
			if e := raw.Errno(raw.Syscall(unix.SYS_MREMAP, lo, end-lo, end-lo, remapOver|unix.MREMAP_DONTUNMAP, to, 0)); e != 0 {
				// The kernel may have unmapped the shadow's piece before it refused.
				raw.Syscall(unix.SYS_MMAP, to, end-lo, unix.PROT_NONE, gapFlags, ^uintptr(0), 0)
				if unix.Errno(e) == unix.EFAULT && w.carry.flags < yankTries { // mlock has made several mappings of it since
					w.carry.flags++
					end = lo
					continue
				}
				c.fail(callRemap, e)
				continue
			}
			raw.Add64(&s.moving.made, 1)
		}
	}
	s.forget(t, next, t.hi)
	w.lock.locked = locks
	deep(makeLayer, arg)
}

// makeLayer makes a layer of the shadow, to which everything has been taken.
//
//go:nosplit
//go:norace
//go:nocheckptr
func makeLayer(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	t := at[target](c.target)
	// The shadow has inherited the registration. While it has none, nobody may fill it: mlockall would, and what the old
	// layer has of a page that the shadow has too would be lost. It begins without access.
	if w.lock.locked {
		raw.Syscall(unix.SYS_MPROTECT, c.cover, t.hi-t.lo, unix.PROT_NONE, 0, 0, 0)
	}
	s.unregister(w, s.arenaFD, c.cover, t.hi-t.lo)
	s.registerLayer(w, c.cover, t.hi-t.lo)
	raw.Syscall(unix.SYS_MPROTECT, c.cover, t.hi-t.lo, unix.PROT_READ|unix.PROT_WRITE, 0, 0, 0)
	s.dropMarked(w, t)
	c.armed = raw.Nanotime()
	s.resetStates(t)
}

// piece returns how far from lo on, up to hi, memory is one mapping, and whether that is the target's. The list of
// mappings may be older: the kernel gives one answer for a range only where that is one mapping still, and an
// madvise of the owner, or of the Go runtime in its heap, makes two of one at any time. What lies in a layer
// for a piece that is taken for somebody else's is lost.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) piece(w *worker, t *target, lo, hi uintptr) (end uintptr, is int) {
	if is = s.asked(w, t, lo, hi-lo); is == answerYes {
		return hi, is
	}
	end = lo + s.pageSize
	if _, to, _, known := s.query(w, lo); known {
		end = min(to, hi)
	}
	return end, s.asked(w, t, lo, end-lo)
}

// allKnown waits until the kernel tells whose each piece of the target is: what looks like somebody
// else's is forgotten. Where it does not the command is over.
//
//go:nosplit
//go:norace
//go:nocheckptr
func allKnown(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t, n := at[target](s.cmd.target), w.carry.length
	w.carry.ok = false
	s.cmd.status = statusBusy
	var l mapLine
	for p := s.text; p < s.text+n; {
		_, p = l.ParseAt(p, s.text+n)
		lo, hi := max(l.Lo, t.lo), min(l.Hi, t.hi)
		if lo >= hi {
			continue
		}
		is := s.registered(w, t.uffd, lo, hi-lo)
		for try := 0; is == answerLater; try++ {
			if try == 100 {
				return
			}
			s.nap(w, 20e3)
			is = s.registered(w, t.uffd, lo, hi-lo)
		}
		if is == answerNobody {
			s.cmd.fail(callContinue, s.barredBy(callContinue))
			return
		}
	}
	w.carry.ok, s.cmd.status = true, statusOK
}

// goHome puts the old layer, with everything in it, in the place of the target: the mapping that the
// owner made, which merges with its neighbours again. Pieces of the target that are not registered
// are somebody else's, or pages that were left there.
//
//go:nosplit
//go:norace
//go:nocheckptr
func goHome(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	t := at[target](c.target)
	deep(yank, arg)
	if c.status != statusOK {
		return
	}
	c.cover, c.limit = 0, 1<<62
	deep(merge, arg)
	n := s.readMaps(w)
	w.carry.length = n
	if deep(allKnown, arg); !w.carry.ok {
		return
	}
	if raw.Load64(&t.young) != 0 || n == 0 {
		c.status = statusBusy
		return
	}
	old := uintptr(t.old)
	s.unregister(w, s.layersFD, old, t.hi-t.lo)
	if t.flags&tgDontfork == 0 {
		raw.Syscall(unix.SYS_MADVISE, old, t.hi-t.lo, unix.MADV_DOFORK, 0, 0, 0)
	}
	var l mapLine
	for p := s.text; p < s.text+n; {
		_, p = l.ParseAt(p, s.text+n)
		lo, hi := max(l.Lo, t.lo), min(l.Hi, t.hi)
		if lo >= hi || l.Inode != 0 || l.Shared {
			continue
		}
		for end := lo; lo < hi; lo = end {
			var is int
			if end, is = s.piece(w, t, lo, hi); is != answerYes {
				if is == answerNobody {
					c.fail(callContinue, s.barredBy(callContinue))
				}
				continue
			}
			from := old + lo - t.lo
			raw.Syscall(unix.SYS_MPROTECT, from, end-lo, uintptr(l.Prot), 0, 0, 0)
			w.carry.src, w.carry.dst, w.carry.length = from, lo, end-lo
			if deep(homePiece, arg); !w.carry.ok {
				c.status = statusFailed
			}
		}
	}
	if c.status != statusOK {
		s.registerLayer(w, old, t.hi-t.lo)
		return
	}
	if t.flags&tgDontfork == 0 {
		// Pages that were left are not in the layer, and are excluded from children since the target was armed.
		raw.Syscall(unix.SYS_MADVISE, t.lo, t.hi-t.lo, unix.MADV_DOFORK, 0, 0, 0) // ENOMEM: of what is mapped
	}
	raw.Store64(&t.old, 0)
	for g := uintptr(0); g < t.granules(); g++ {
		raw.Store32(t.state(g), gOpen)
	}
}

// homePiece moves a piece of the old layer, which may be several mappings, to the target.
//
//go:nosplit
//go:norace
//go:nocheckptr
func homePiece(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	from, to, length := w.carry.src, w.carry.dst, w.carry.length
	const over = remapOver | unix.MREMAP_DONTUNMAP
	e := raw.Errno(raw.Syscall(unix.SYS_MREMAP, from, length, length, over, to, 0))
	if w.carry.ok = e == 0; w.carry.ok {
		return
	}
	// Pages that could not be moved from layer to layer have mappings of their own: piece by piece.
	for length > 0 {
		_, end, _, ok := s.query(w, from)
		n := s.pageSize
		if ok {
			n = min(length, end-from)
		}
		if e = raw.Errno(raw.Syscall(unix.SYS_MREMAP, from, n, n, over, to, 0)); e != 0 {
			s.cmd.fail(callRemap, e)
			return
		}
		from, to, length = from+n, to+n, length-n
	}
	w.carry.ok = true
}
