//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// Files are delivered by signal without userfaultfd: the mapping that the owner made stays where it is, but the access to
// it is taken away, so a touch is SIGSEGV to the thread that makes it. The handler claims the granule, gives the access
// back, takes the stack, and touches the page itself. So the thread that touches is the one that waits for storage, as it
// would be without us, and what it waits for is the plain mapping. Nothing can read zeros, and mincore, madvise, mlock,
// growth and truncation are the owner's own.
//
// The access is taken away in one of two ways. Since Linux 6.15 by guard markers in the page tables (MADV_GUARD_INSTALL):
// the mapping stays one, its rights stay the owner's, and no lock is held that other faults wait for. Before, and where
// the kernel refuses markers (memory that is locked), or they would take much memory, by the mapping's rights: it has
// none (PROT_NONE), and mprotect gives a piece the owner's again. Then each piece is a mapping of its own until its
// neighbours are given back too: near vm.max_map_count granules are widened.
//
// The handler of SIGSEGV sees every fault of the program. One is ours where the mapping is of the target's file, its
// granule is armed, and it has a marker though its rights allow the access, or no rights at all. Otherwise a fault that
// is allowed by now came late, and is made again; one that is not is the program's own. So rights are never wider than
// the owner's: it may have called mprotect meanwhile, which stands. Where rights are what was taken away one thing cannot be
// told: that the owner has taken them from an armed page, too. Its first touch gives the page the rights that it had.

// onSegv answers a SIGSEGV for an access that the mapping does not allow. w.shared is 0 where no engine runs.
//
//go:nosplit
//go:norace
//go:nocheckptr
func onSegv(arg uintptr) {
	w := at[worker](arg)
	none := false // nothing of ours was there
	if w.shared != 0 {
		s := at[shared](w.shared)
		if uintptr(raw.Load32(&ownPID)) != raw.Syscall(unix.SYS_GETPID, 0, 0, 0, 0, 0, 0) {
			s.openForked(w)
			return
		}
		t := s.find(w.now.addr)
		if t != nil && t.kind == kindFile {
			w.now.target = uintptr(unsafe.Pointer(t))
			deep(answerSegv, arg)
			return
		}
		none = t == nil
		deep(strayBus, arg)
	}
	if !w.bus.ours {
		// The region may have been closed, or all of the engine, since the kernel sent it.
		w.bus.ours = w.accessible()
	}
	if !w.bus.ours && none {
		w.bus.ours = at[shared](w.shared).find(w.now.addr) != nil // armed anew meanwhile: the fault is made again
	}
}

// flagExec, in fault.flags: the access was to execute.
const (
	writeFlag = uint64(uffd.PagefaultFlagWrite)
	flagExec  = uint64(1) << 40
)

// answerSegv answers a fault in a target of a file, as answer does a message.
//
//go:nosplit
//go:norace
//go:nocheckptr
func answerSegv(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t := at[target](w.now.target)
	w.now.time, w.now.still = raw.Nanotime(), raw.Load64(&s.still)
	w.now.g = t.granule(w.now.addr)
	raw.Add64(&s.messages, 1)
	raw.Add32(&t.inflight, 1)
	if raw.Load32(&t.frozen) != 0 && !t.given(w.now.addr) {
		raw.Add32(&t.inflight, ^uint32(0)) // whoever froze it waits for those in flight
		s.await(w, &t.frozen, 1)
		w.bus.ours = true
		return
	}
	w.leaveBus()
	if s.claimFile(w, t) {
		deep(serveBus, arg)
		return
	}
	raw.Add64(&at[counters](t.counters).repeats, 1)
	raw.Add32(&t.inflight, ^uint32(0))
}

// claimFile claims the fault's granule. What it does not claim is somebody else's fault in flight, ours to be made
// again, or the program's own.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) claimFile(w *worker, t *target) bool {
	w.bus.tid = s.threadID(w)
	p := t.state(w.now.g)
	for {
		v := raw.Load32(p)
		if v >= gPending {
			s.again(t, at[counters](t.counters), v, w.bus.tid)
			s.await(w, p, gPending)
			w.bus.ours = true
			return false
		}
		w.bus.vma.Lo = w.now.addr &^ (s.pageSize - 1)
		deep(lookBus, uintptr(unsafe.Pointer(w)))
		// An open granule without access was taken from us by its owner.
		if !w.bus.armed || v == gOpen || t.given(w.now.addr) || !allows(w.rights(t), w.now.flags) {
			w.bus.ours = w.mayRetry()
			return false
		}
		if raw.Cas32(p, v, gPending) {
			return true
		}
	}
}

// rights are those that the mapping worker.bus.vma has once its access is given back, if it is armed.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (w *worker) rights(t *target) uint32 {
	if w.bus.vma.Prot == 0 && !w.bus.guard && t.flags&tgNone != 0 {
		return t.prot
	}
	return w.bus.vma.Prot
}

// accessible reports whether the access that made the worker's fault can be had by now. Of one to execute it cannot be told.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (w *worker) accessible() bool {
	return w.now.flags&flagExec == 0 && touched(w.now.addr&^(busPage-1), w.now.flags&writeFlag != 0) == 0
}

// mayRetry reports whether a fault that is not armed any more would not come again.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (w *worker) mayRetry() bool {
	if !w.bus.guard {
		return allows(w.bus.vma.Prot, w.now.flags)
	}
	return w.accessible()
}

// allows reports whether a mapping with such rights allows an access.
//
//go:nosplit
//go:norace
//go:nocheckptr
func allows(prot uint32, flags uint64) bool {
	switch {
	case flags&flagExec != 0:
		return prot&unix.PROT_EXEC != 0
	case flags&writeFlag != 0:
		return prot&unix.PROT_WRITE != 0
	}
	return prot&protRead != 0
}

// lookBus finds out what lies at the address worker.bus.vma.lo, which belongs to the worker's target: whether it is of the
// target's file and its access may have been taken away, so that it is armed if its granule is. Where the kernel cannot be asked, it is one
// page that is looked at.
//
//go:nosplit
//go:norace
//go:nocheckptr
func lookBus(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t := at[target](w.now.target)
	v := &w.bus.vma
	addr := v.Lo
	switch unix.Errno(s.askMaps(w, addr, 0)) {
	case 0:
		v.asked(w)
		w.bus.armed = t.taken(v.Prot) && v.of(t) && v.inPlace(t)
	case unix.ENOENT:
		v.Prot, v.Hi, w.bus.armed = 0, addr+s.pageSize, false
	default:
		deep(probeBus, arg)
	}
}

// taken reports whether the access to a mapping with such rights may be what the engine has taken away.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *target) taken(prot uint32) bool {
	return t.flags&tgGuard != 0 || prot == 0 && t.flags&tgNone != 0
}

// of reports whether a mapping is a shared one of the target's file. Private memory has nothing by which to know it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (l *mapLine) of(t *target) bool {
	return l.Shared == (t.flags&tgAnonymous == 0) && l.Inode == t.inode && l.Dev == t.dev
}

// inPlace reports whether a mapping of the target's file has that part of it which belongs there.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (l *mapLine) inPlace(t *target) bool {
	return t.flags&tgAnonymous != 0 || l.Offset-uint64(l.Lo) == uint64(t.offset)-uint64(t.lo)
}

// probeBus is lookBus where the kernel cannot be asked. An access tells whether there is any, and a duplicate whether the
// mapping is a shared one (vma_to_resize, mm/mremap.c): what others map without access, as below a stack, is private.
//
//go:nosplit
//go:norace
//go:nocheckptr
func probeBus(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t := at[target](w.now.target)
	v := &w.bus.vma
	page := v.Lo
	v.Hi, v.Prot, w.bus.armed = page+s.pageSize, 0, false
	if touched(page, false) == 0 {
		v.Prot = unix.PROT_READ
		if w.now.flags&writeFlag != 0 && touched(page, true) == 0 {
			v.Prot |= unix.PROT_WRITE
		}
		return
	}
	if t.flags&tgAnonymous != 0 {
		// A private mapping without access is its owner's guard page, or ours.
		w.bus.armed = s.isMapped(w, page)
		if w.bus.guard {
			v.Prot = t.prot
		}
		w.bus.armed = w.bus.armed && t.taken(v.Prot)
		return
	}
	p := raw.Syscall(unix.SYS_MREMAP, page, 0, s.pageSize, unix.MREMAP_MAYMOVE, 0, 0)
	switch e := raw.Errno(p); {
	case e == 0:
		raw.Syscall(unix.SYS_MUNMAP, p, s.pageSize, 0, 0, 0, 0)
		w.bus.armed = true
	case unix.Errno(e) == unix.EINVAL, unix.Errno(e) == unix.EFAULT:
	default:
		w.bus.armed = true // refused, or no mapping left: it cannot be told
	}
	if w.bus.armed && w.bus.guard {
		v.Prot = t.prot
	}
	w.bus.armed = w.bus.armed && t.taken(v.Prot)
}

// lift gives the claimed granule of the worker's fault its rights back.
//
//go:nosplit
//go:norace
//go:nocheckptr
func lift(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	w.now.source = s.sourceOf(w, at[target](w.now.target), w.now.addr)
	deep(openFile, arg)
}

// touchFile ends a fault in a file, whose granule has its rights: the thread waits for the storage of its page, in the way that it does with
// delivery by thread. Others wait for storage as they would without us, and so does nobody who changes the target.
//
//go:nosplit
//go:norace
//go:nocheckptr
func touchFile(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t := at[target](w.now.target)
	q := &w.bus.stack.wait
	q.shared, q.seq, q.page, q.tid = w.shared, w.now.seq-1, w.now.addr&^(s.pageSize-1), w.bus.tid
	q.write, q.gone, q.failed, q.clock = w.now.flags&writeFlag != 0, false, false, w.now.clock
	pc, _, _, _ := s.registers(w.bus.ctx)
	q.blocked, q.holds, q.masks = 0, s.holdsP(pc, w.goroutine(pc)), masks(w.bus.ctx)
	raw.Add32(&inHandler, 1) // before the target is let go: then the engine may be closed
	if raw.Nanotime()-w.now.time >= slowFault {
		deep(blame, arg)
	}
	if w.now.seq != 0 {
		r := s.record(q.seq)
		r.Source = w.now.source
		raw.Release32(&r.state, s.generation(q.seq)|stClaimed|stWanted|stTheirs|stActive|stBack)
	}
	raw.Store32(t.state(w.now.g), gOpen)
	s.callBus()
	raw.Add32(&t.inflight, ^uint32(0))
	if w.now.seq != 0 {
		deep(awaitPage, uintptr(unsafe.Pointer(q)))
	} else {
		s.stand(q)
	}
	if !q.gone {
		s.endHandling(q.clock)
	}
	raw.Add32(&inHandler, ^uint32(0))
}

// openFile gives the worker's granule its rights back, and its armed neighbours where mappings run out. It sets
// fault.left for what it leaves to a disk thread.
//
//go:nosplit
//go:norace
//go:nocheckptr
func openFile(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t, g := at[target](w.now.target), w.now.g
	w.now.left = false
	for try := 0; ; try++ {
		first, n := g, uintptr(1)
		if t.flags&tgNone != 0 && s.mapsShort() || try > 0 {
			first, n = s.claimRun(t, g, widenMost<<min(try*4, 32))
		}
		w.carry.dst, w.carry.length = t.span(first, n)
		added := t.mapsAdded(first, n)
		deep(openPieces, arg)
		e := w.carry.flags
		if e == 0 {
			if t.flags&tgNone != 0 {
				raw.Add64(&s.maps, added)
			}
			s.openAround(w, t, first, n, g)
			return
		}
		s.unclaim(t, first, n, g)
		if unix.Errno(e) != unix.ENOMEM || try > 2 && !s.giveUpReserve() {
			if denied(uintptr(e)) {
				s.bar(w.carry.call, uintptr(e))
			}
			s.refuse(t, uintptr(e))
			w.now.left = true
			return
		}
		raw.Store64(&s.maps, s.maxMaps+1)
	}
}

// openPieces gives those pieces of worker.carry.dst their rights back that are armed mappings of the target's file. It leaves an
// errno in worker.carry.flags, or 0.
//
//go:nosplit
//go:norace
//go:nocheckptr
func openPieces(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t := at[target](w.now.target)
	c := &w.carry
	c.flags = 0
	v := &w.bus.vma
	for lo, end := c.dst, c.dst+c.length; lo < end; lo = max(v.Hi, lo+s.pageSize) {
		if !w.bus.armed || lo < v.Lo || lo >= v.Hi { // else it was looked at when it was claimed
			v.Lo = lo
			deep(lookBus, arg)
		}
		if !w.bus.armed {
			continue
		}
		if c.flags = uint64(s.giveBack(w, t, lo, min(v.Hi, end)-lo, v.Prot)); c.flags != 0 {
			return
		}
	}
}

// giveBack gives the access to a piece of one mapping back, which has such rights now. For an error worker.carry.call says of
// which call it is.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) giveBack(w *worker, t *target, addr, length uintptr, prot uint32) (errno uintptr) {
	if prot == 0 && t.flags&tgNone != 0 {
		w.carry.call = callProtect
		errno = raw.Errno(raw.Syscall(unix.SYS_MPROTECT, addr, length, uintptr(t.prot), 0, 0, 0))
	}
	if errno == 0 && t.flags&tgGuard != 0 {
		w.carry.call = callGuard
		errno = raw.Errno(raw.Syscall(unix.SYS_MADVISE, addr, length, madvGuardRemove, 0, 0, 0))
	}
	return errno
}

// include/uapi/asm-generic/mman-common.h, Linux 6.13; of files since 6.15.
const (
	madvGuardInstall = 102
	madvGuardRemove  = 103
)

// openAnyhow is openFile by a disk thread, where the handler could not: it tries until it can, or maps the file anew.
//
//go:nosplit
//go:norace
//go:nocheckptr
func openAnyhow(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t := at[target](w.now.target)
	w.now.addr, w.bus.armed = 0, false
	for try := 0; ; try++ {
		if deep(openFile, arg); !w.now.left {
			break
		}
		w.carry.target = w.now.target
		w.carry.dst, w.carry.length = t.span(w.now.g, 1)
		w.carry.src, w.carry.flags = w.carry.dst, uint64(t.prot)
		if deep(refile, arg); w.carry.ok {
			break
		}
		raw.Store64(&s.waited, uint64(raw.Nanotime()))
		s.nap(w, 1e6)
	}
	s.finish(w, t, w.now.g, w.now.seq, SourceUnknown)
}

// strayBus answers a fault where no target of a file is: its owner has moved an armed mapping there, or grown it, and
// nobody has looked since. The whole mapping gets its access back.
//
//go:nosplit
//go:norace
//go:nocheckptr
func strayBus(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	v := &w.bus.vma
	page := w.now.addr &^ (s.pageSize - 1)
	asked := s.askMaps(w, page, 0)
	if asked == 0 {
		v.asked(w)
	} else {
		v.Lo, v.Hi, v.Prot, v.Inode, v.Shared = page, page+s.pageSize, 0, 0, unix.Errno(asked) != unix.ENOENT
	}
	if !v.Shared {
		deep(strayMemory, arg)
		return
	}
	tab := uintptr(raw.Load64(&s.table))
	lo, hi, of := v.Lo, v.Hi, uintptr(0)
	for i := uintptr(0); i < uintptr(at[table](tab).n); i++ {
		p := *at[uintptr](tab + tableHeader + i*8)
		t := at[target](p)
		if t.kind == kindFile && t.flags&tgAnonymous == 0 && of == 0 && (asked != 0 || v.of(t) && t.taken(v.Prot)) {
			of = p
		}
		if t.hi <= page {
			lo = max(lo, t.hi)
		} else {
			hi = min(hi, t.lo)
		}
	}
	if of == 0 {
		deep(strayMemory, arg)
		return
	}
	t := at[target](of)
	w.now.target = of
	if v.Lo = page; asked != 0 {
		if deep(probeBus, arg); !w.bus.armed {
			return
		}
	}
	if allows(w.rights(t), w.now.flags) && s.giveBack(w, t, lo, hi-lo, v.Prot) == 0 {
		raw.Add64(&s.strays, 1)
		w.bus.ours = w.now.flags&flagExec != 0 || touched(page, false) == 0
	}
}

// strayMemory is strayBus for private memory, which has no file by which to know it: what has no access counts as moved
// from a target of which an end is not mapped any more.
//
//go:nosplit
//go:norace
//go:nocheckptr
func strayMemory(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	v := &w.bus.vma
	page := w.now.addr &^ (s.pageSize - 1)
	if v.Prot != 0 || w.bus.guard || v.Inode != 0 || !s.isMapped(w, page) {
		return
	}
	tab := uintptr(raw.Load64(&s.table))
	lo, hi, of := v.Lo, v.Hi, uintptr(0)
	for i := uintptr(0); i < uintptr(at[table](tab).n); i++ {
		p := *at[uintptr](tab + tableHeader + i*8)
		t := at[target](p)
		if t.hi <= page {
			lo = max(lo, t.hi)
		} else {
			hi = min(hi, t.lo)
		}
		if t.kind == kindFile && t.flags&tgAnonymous != 0 && t.flags&tgNone != 0 && allows(t.prot, w.now.flags) &&
			!(s.isMapped(w, t.lo) && s.isMapped(w, t.hi-s.pageSize)) {
			of = p
		}
	}
	if of != 0 && s.giveBack(w, at[target](of), lo, hi-lo, 0) == 0 {
		raw.Add64(&s.strays, 1)
		w.bus.ours = touched(page, false) == 0
	}
}

// isMapped reports whether anything is mapped at a page.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) isMapped(w *worker, page uintptr) bool {
	return unix.Errno(raw.Errno(raw.Syscall(unix.SYS_MINCORE, page, s.pageSize, uintptr(unsafe.Pointer(&w.vec)), 0, 0, 0))) != unix.ENOMEM
}

// openForked answers a fault in a child that was forked: access is taken from its memory, too, and it has no engine. What
// it touches is the child's own, and is not counted. The tables are copies of the parent's, of some moment.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) openForked(w *worker) {
	t := s.find(w.now.addr)
	if w.accessible() {
		w.bus.ours = true // another thread was faster
		return
	}
	if t == nil || t.kind != kindFile || raw.Load32(t.state(t.granule(w.now.addr))) == gOpen || t.given(w.now.addr) || !allows(t.prot, w.now.flags) {
		return
	}
	prot := t.prot
	if !w.bus.guard {
		prot = 0
	}
	addr, length := t.span(t.granule(w.now.addr), 1)
	if s.giveBack(w, t, addr, length, prot) != 0 { // no mapping left
		s.giveBack(w, t, t.lo, t.hi-t.lo, prot)
	}
	w.bus.ours = touched(w.now.addr&^(s.pageSize-1), false) == 0
}
