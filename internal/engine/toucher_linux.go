//go:build linux && (amd64 || arm64)

//lint:file-ignore U1000 called through their code's addresses

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// Who touches a page of a file waits for its storage itself, as without us: the handler that takes the stack touches the page, as soon as that is
// accessible again, with the clock in its hand. So the goroutine keeps its P, an error is the thread's own, and nobody else waits.
//
// All signals are masked meanwhile, and nothing but storage ends the wait. So the thread counts as parked, is not counted among those in
// our handler, and uses nothing of an engine that was stopped meanwhile: what is known of it is in a table that outlives engines.

// inStorage are the ids of the threads that wait for storage in a handler of ours, 0 is a free place. Those that block a signal by which
// faults come after that, too, have storageMasks set.
var inStorage [storageSlots]uint32

// storageFor has for each of them, at the same place, the page that it waits for and since when, to be shown.
var storageFor [storageSlots]struct {
	page  uintptr
	since int64
}

const (
	storageSlots = 1 << 14
	storageProbe = 16
	storageShift = 32 - 14
	storageMasks = 1 << 31 // above any thread's id (PID_MAX_LIMIT, include/linux/threads.h)
)

// epoch is raised when an engine stops.
var epoch uint64

// storagePlace returns the i-th place where a thread may be.
//
//go:nosplit
//go:norace
//go:nocheckptr
func storagePlace(tid uint32, i uintptr) *uint32 {
	h := (uintptr(tid*threadHash>>storageShift) + i) % storageSlots
	return at[uint32](uintptr(unsafe.Pointer(&inStorage)) + h*4)
}

// waitsForStorage reports whether a thread waits in a handler of ours. It will look whether it is to park before it goes on.
//
//go:nosplit
//go:norace
//go:nocheckptr
func waitsForStorage(tid uint32) bool {
	return storageEntry(tid) != 0
}

// storageEntry returns what a thread that waits in a handler of ours has put into its place, or 0.
//
//go:nosplit
//go:norace
//go:nocheckptr
func storageEntry(tid uint32) uint32 {
	for i := uintptr(0); i < storageProbe; i++ {
		if v := raw.Load32(storagePlace(tid, i)); v&^storageMasks == tid {
			return v
		}
	}
	return 0
}

// masks reports whether the code that a signal interrupted blocks a signal by which faults come.
//
//go:nosplit
//go:norace
//go:nocheckptr
func masks(ctx uintptr) bool {
	return *at[uint64](ctx + ctxMask)&(1<<(unix.SIGBUS-1)|1<<(unix.SIGSEGV-1)) != 0
}

// standing is a record whose thread has to wait for the storage of its page: all else of it is written.
type standing struct {
	shared  uintptr
	seq     uint64
	page    uintptr
	tid     uint32
	write   bool   // it writes to the page, which the file system may have to allow
	holds   bool   // a P meanwhile, see holdsP
	gone    bool   // the engine is: nothing of it may be used any more
	failed  bool   // there was no place to wait in
	masks   bool   // see there
	clock   int64  // see beginHandling
	blocked uint64 // for how long all Ps were held meanwhile, in units of heldUnit
}

// awaitPage ends a record on the thread that made it, which runs a signal handler and is counted in inHandler: it waits until the granule is
// accessible, then for storage, and publishes the record.
//
//go:nosplit
//go:norace
//go:nocheckptr
func awaitPage(arg uintptr) {
	q := at[standing](arg)
	s := at[shared](q.shared)
	r := s.record(q.seq)
	if r.Flags&FlagStallUnknown == 0 {
		deep(awaitBack, arg)
	}
	st := raw.Load32(&r.state)
	for ; st&stBack == 0; st = raw.Load32(&r.state) {
		if raw.Cas32(&r.state, st, st|stHandled) {
			return // the reader resolves it
		}
	}
	then, span, source := r.Time, r.Span, r.Source
	if r.Flags&FlagStallUnknown != 0 || source == SourcePageCache && !q.write {
		if r.Flags&FlagStallUnknown == 0 {
			r.Stall = max(raw.Nanotime()-then, 1)
		}
		s.spans.Settle(span, r.Stall)
		r.arrive(stHandled | stResolved)
		return
	}
	before := readsBefore(source)
	r.arrive(stWaiting)
	if s.stand(q); q.gone {
		return
	}
	stall := max(raw.Nanotime()-then, 1)
	source = sourceAfter(source, before)
	blocked := uint32(min(q.blocked, 1<<32-1))
	s.spans.Block(span, q.blocked)
	for st = raw.Load32(&r.state); st>>stBits<<stBits == s.generation(q.seq) && st&stWaiting != 0; st = raw.Load32(&r.state) {
		if raw.Cas32(&r.state, st, st&^stWaiting) {
			r.Stall, r.Source = stall, source
			if q.failed {
				r.Stall = 0
				r.Flags |= FlagStallUnknown
			}
			if blocked != 0 {
				r.Flags |= FlagBlocked
				*s.blockedOf(q.seq) = blocked
			}
			s.spans.Settle(span, r.Stall)
			r.arrive(stHandled | stResolved)
			return
		}
	}
	// It has left the ring meanwhile. Its reader looks here.
	s.spans.Settle(span, stall)
	if t := s.threadOf(q.tid, false); t != nil {
		t.lateStall, t.lateSource, t.lateBlocked = stall, source, blocked
		raw.Store64(&t.late, q.seq+1)
	}
}

// backSpins is how often a thread looks whether its granule is accessible before it sleeps, where the reader has another processor, and
// backFor for how long, in ns, it waits at most: then it makes its fault again.
const (
	backSpins = 1000
	backFor   = 100e6
)

// backSleep is for how long it sleeps at a time, a struct timespec that nobody changes.
var backSleep = [2]uint64{0, 1e6}

// awaitBack waits until the granule of a record is accessible. The thread parks meanwhile when it is asked to.
//
//go:nosplit
//go:norace
//go:nocheckptr
func awaitBack(arg uintptr) {
	q := at[standing](arg)
	s := at[shared](q.shared)
	r := s.record(q.seq)
	spins := backSpins
	if raw.Load32(&s.mode) == modeFollower {
		spins = 0 // which waits for this processor
	}
	for end := int64(0); ; {
		st := raw.Load32(&r.state)
		switch {
		case st&stBack != 0:
			return
		case spins > 0:
			spins--
			continue
		case st&stSleeps == 0:
			raw.Cas32(&r.state, st, st|stSleeps)
			continue
		}
		now := raw.Nanotime()
		if end == 0 {
			end = now + backFor
		}
		if now > end {
			return
		}
		raw.Syscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&r.state)), futexWaitPrivate, uintptr(st), uintptr(unsafe.Pointer(&backSleep)), 0, 0)
		s.rejoin(q.tid)
	}
}

// stand has the calling thread touch its page.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) stand(q *standing) {
	engine, place := raw.Load64(&epoch), takePlace(q)
	if place == nil {
		q.failed = true // the thread waits at its instruction
		return
	}
	held := uint64(0)
	if q.holds {
		held = s.hold(1)
	}
	raw.Add32(&inHandler, ^uint32(0))
	paused := pauseClock(q.clock)
	touched(q.page, q.write) // what cannot be had is left to the instruction, which gets the SIGBUS that it would have got
	q.clock = resumeClock(q.clock, paused)
	raw.Store32(place, 0)
	raw.Add32(&inHandler, 1)
	q.gone = raw.Load64(&epoch) != engine
	if q.holds && !q.gone {
		q.blocked = max(s.hold(^uint64(0)), held) - held
	}
	if p := uintptr(raw.Load64(&sh)); p != 0 { // it may be another engine whose surgeon has looked
		at[shared](p).rejoin(q.tid)
	}
}

// takePlace puts a thread into a free place, with the page that it waits for from now on, or returns nil.
//
//go:nosplit
//go:norace
//go:nocheckptr
func takePlace(q *standing) *uint32 {
	entry := q.tid
	if q.masks {
		entry |= storageMasks
	}
	for i := uintptr(0); i < storageProbe; i++ {
		if p := storagePlace(q.tid, i); raw.Cas32(p, 0, entry) {
			f := at[[2]uint64](uintptr(unsafe.Pointer(&storageFor)) + (uintptr(unsafe.Pointer(p))-uintptr(unsafe.Pointer(&inStorage)))*4)
			raw.Store64(&f[0], uint64(q.page))
			raw.Store64(&f[1], uint64(raw.Nanotime()))
			return p
		}
	}
	return nil
}

// rejoin parks a thread that has waited for storage, if the others are parked.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) rejoin(tid uint32) {
	if round := raw.Load32(&s.parkRound); round != 0 {
		s.parkThread(tid, round)
	}
}

// readsBefore is what sourceAfter is to be told, from before a page is touched.
//
//go:nosplit
//go:norace
//go:nocheckptr
func readsBefore(source uint8) uint64 {
	if source != SourceUnknown {
		return 0
	}
	return storageReads()
}

// sourceAfter is where a page came from that the calling thread has touched: where mincore may not tell, what it has read tells.
//
//go:nosplit
//go:norace
//go:nocheckptr
func sourceAfter(source uint8, before uint64) uint8 {
	switch {
	case source != SourceUnknown:
		return source
	case storageReads() != before:
		return SourceDisk
	}
	return SourcePageCache
}

// storageReads counts what the calling thread has read from storage.
//
//go:nosplit
//go:norace
//go:nocheckptr
func storageReads() uint64 {
	// struct rusage, include/uapi/linux/resource.h: ru_majflt is its 10th
	// word and ru_inblock its 12th. The first alone is not enough: a fault that populates memory and had
	// to drop the lock on the way is not counted as a major one (mm_account_fault, mm/memory.c).
	const rusageThread = 1
	var usage [18]uint64
	p := uintptr(unsafe.Pointer(&usage))
	raw.Syscall(unix.SYS_GETRUSAGE, rusageThread, p, 0, 0, 0, 0)
	return *at[uint64](p + 9*8) + *at[uint64](p + 11*8)
}

// handOver leaves the worker's granule, of a file, which is accessible again, to the thread that waits for it: where that was asked, it ends
// the record. It is not woken where it is in its handler and no other message has come: who sends one from now on is answered by it. It is
// where it was not asked, or blocks the signal, or waits in awaitPage for the page of another window.
//
//go:nosplit
//go:norace
//go:nocheckptr
func handOver(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t := at[target](w.now.target)
	state := uint32(gOpen)
	if w.now.partial {
		state = gArmed
	}
	raw.Store32(t.state(w.now.g), state)
	if w.now.seq == 0 || !s.handRecord(w, s.record(w.now.seq-1)) || raw.Load32(&t.unnamed) != 0 {
		w.due.fd = t.uffd
		w.due.addr, w.due.length = t.span(w.now.g, 1)
	}
	raw.Add32(&t.inflight, ^uint32(0))
	if w.reads == 0 {
		w.wakeDue()
	}
}

// handRecord tells the thread that it may go on, or ends its record. It reports whether nobody has to be woken.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) handRecord(w *worker, r *Record) bool {
	now, relieved := raw.Nanotime(), raw.Load64(&w.relieved)
	if now-r.Time >= slowFault && relieved == 0 {
		deep(blame, uintptr(unsafe.Pointer(w)))
	}
	if raw.Load32(&r.state)&stTheirs != 0 {
		alone := raw.Load32(&r.Messages) == 1 // see again
		before := r.arrive(stBack)
		if before&stSleeps != 0 {
			futexWake(&r.state, 1)
		}
		if before&stHandled == 0 {
			return alone && before&stActive != 0
		}
	}
	// Nobody is to tell, or nobody will.
	if r.Source != SourcePageCache || relieved != 0 {
		r.Flags |= FlagStallUnknown
	}
	if r.Flags&FlagStallUnknown == 0 {
		r.Stall = max(now-r.Time, 1)
	}
	s.spans.Settle(r.Span, r.Stall)
	r.arrive(stResolved)
	return false
}

// unseen: the thread of a record tells nothing.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) unseen(r *Record) {
	if r.Flags&(flagStack|FlagHandlerAccounts) != 0 {
		raw.Add32(&s.missed, 1)
		r.Flags |= FlagStackMissed
	}
}

// learn asks the thread of the worker's fault which goroutine it runs, where that is not known and matters: the handler has only the one that
// faulted wait for storage. The thread makes its fault again, and is believed what it has told of this page just now. It reports whether
// it has asked, which it does once for each fault.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) learn(w *worker, t *target, g uintptr, now int64) bool {
	f := &w.now
	if f.known || f.source == SourcePageCache {
		return false
	}
	th := s.threadOf(f.tid, true)
	if th == nil || raw.Load32(&th.mute) != 0 {
		return false
	}
	page := uint32(f.addr>>12) + 1
	if th.learning == page {
		th.learning = 0
		if now-int64(raw.Load64(&th.toldAt)) < toldFor {
			f.goid, f.parent, f.known = th.told, th.toldParent, true
		}
		return false
	}
	th.learning = page
	if !s.signalStands(w, now, false) || s.queueSignal(w, f.tid, valueLearn) != 0 {
		return false
	}
	s.wake(w, t, g, 1)
	return true
}

// toldFor is for how long a thread is believed which goroutine it runs, in ns.
const toldFor = 10e6
