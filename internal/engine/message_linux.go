//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// drain reads one message from a descriptor and answers it. It returns how many it got: 1, or 0 when
// there was none. Not more at once: a thread whose wait a signal interrupts takes its message back, but
// not one that was read. While that lay behind others, Go could preempt the goroutine and run another
// one on the thread, which then was taken for the toucher.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) drain(w *worker, fd uint32) uintptr {
	arena := fd == s.arenaFD
	if arena {
		if !raw.Cas32(&s.reading, 0, 1) {
			s.nap(w, 20e3)
			return 0
		}
		s.awaitHome(w)
	}
	n := s.drainOne(w, fd)
	if arena {
		unlock(&s.reading)
	}
	if n != 0 {
		w.drained()
	}
	return n
}

// drained ends a message that drainOne has answered, and wakes who waited. Here, not where the fault is finished: who is
// woken on the follower's CPU goes on at once, and should find no lock taken; and when the follower runs again, after
// others, each return is predicted wrongly.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (w *worker) drained() {
	w.wakeDue()
	raw.Release32(&w.busy, 0)
	raw.Release64(&w.progress, w.progress+1)
}

//go:nosplit
//go:norace
//go:nocheckptr
func (w *worker) wakeDue() {
	if d := &w.due; d.length != 0 {
		w.refused = raw.Errno(raw.Syscall(unix.SYS_IOCTL, uintptr(d.fd), uintptr(uffd.IoctlWake), uintptr(unsafe.Pointer(&d.addr)), 0, 0, 0))
		d.length = 0
		if w.refused != 0 {
			deep(silenced, uintptr(unsafe.Pointer(w)))
		}
	}
}

// drainOne is drain without what drained does.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) drainOne(w *worker, fd uint32) uintptr {
	m := uintptr(unsafe.Pointer(&w.buf))
	if n := raw.Syscall(unix.SYS_READ, uintptr(fd), m, msgSize, 0, 0, 0); n != msgSize {
		w.readErr = raw.Errno(n)
		return 0
	}
	if raw.Load64(&w.relieved) != 0 {
		raw.Store64(&w.relieved, 0)
	}
	raw.Store32(&w.busy, 1)
	raw.Release64(&w.messages, w.messages+1)
	w.now = fault{} // in place: with the fields it would be made on the stack, which has no room
	w.now.addr, w.now.flags, w.now.fd = *at[uintptr](m + 16), *at[uint64](m + 8), fd
	w.now.tid, w.now.message = *at[uint32](m + 24), m
	handle := answer
	if *at[uffd.Event](m) != uffd.EventPagefault {
		handle = event
	}
	deep(handle, uintptr(unsafe.Pointer(w)))
	return 1
}

// event answers what the application did to registered memory. Only REMAP is asked for: without it
// an mremap by the application would silently drop the registration.
//
//go:nosplit
//go:norace
//go:nocheckptr
func event(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	m := w.now.message
	raw.Add64(&s.events, 1)
	if late := raw.Load64(&LateEvents); late != 0 {
		s.nap(w, late)
	}
	if w.now.fd == s.arenaFD {
		deep(memoryEvent, arg)
		return
	}
	if *at[uffd.Event](m) != uffd.EventRemap {
		return
	}
	from, to, length := *at[uintptr](m + 8), *at[uintptr](m + 16), *at[uintptr](m + 24)
	if s.moving.has(from) {
		return // a placeholder moved into place by us
	}
	switch t := s.find(from); {
	case t == nil:
	case t.kind == kindOverlay:
		s.retrieve(w, t, from, to, length)
	case t.kind == kindShared:
		s.leave(w, t, to, length)
	}
}

// answer answers one page-fault message: the first one of a granule claims it and has it resolved,
// all others are counted.
//
//go:nosplit
//go:norace
//go:nocheckptr
func answer(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	now := raw.Nanotime()
	addr, tid := w.now.addr, w.now.tid
	t := s.find(addr)
	if t == nil {
		s.stray(w, w.now.fd, addr)
		return
	}
	raw.Add32(&t.inflight, 1)
	if raw.Load32(&t.frozen) != 0 {
		// The surgeon wakes everybody when it has finished: the fault comes again.
		raw.Add32(&t.inflight, ^uint32(0))
		return
	}
	c := at[counters](t.counters)
	g := t.granule(addr)
	if t.given(addr) {
		s.wake(w, t, g, 1)
		t.pass(c)
		return
	}
	p := t.state(g)
	for {
		v := raw.Load32(p)
		if v >= gPending {
			if s.again(t, c, v, tid); raw.Load32(p) < gPending {
				s.wake(w, t, g, 1) // it was finished meanwhile, and nobody may have been woken
			}
			t.pass(c)
			return
		}
		if v == gOpen && t.kind >= kindShared {
			raw.Add64(&c.repeats, 1)
			s.quiet(w, t, g)
			return
		}
		if v == gOpen && !s.discarded(w, t, addr) {
			// The message was under way while the granule was opened.
			s.wake(w, t, g, 1)
			t.pass(c)
			return
		}
		// Not before it is known that the thread still waits: what is read may be gone with it.
		w.now.goid, w.now.parent, w.now.known = s.goroutineOf(tid, now)
		if v == gArmed && s.absent(w) {
			s.wake(w, t, g, 1)
			t.pass(c)
			return
		}
		if t.kind == kindOverlay {
			w.now.source = s.sourceOf(w, t, addr)
			if s.learn(w, t, g, now) {
				t.pass(c)
				return
			}
		}
		if raw.Cas32(p, v, gPending) {
			w.now.before = v
			break
		}
	}
	s.follow(w, tid, now)
	raw.Add64(&c.faults, 1)
	w.now.target, w.now.g = uintptr(unsafe.Pointer(t)), g
	if seq, ok := s.claim(); ok {
		w.now.seq, w.now.time, w.now.still = seq+1, now, raw.Load64(&s.still)
		deep(write, arg)
	}
	if w.now.retracted {
		s.wake(w, t, g, 1) // others may wait for it by now
		t.pass(c)
		raw.Add64(&c.faults, ^uint64(0))
		return
	}
	deep(resolve, arg)
}

// pass ends a message that is no first touch.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *target) pass(c *counters) {
	raw.Add64(&c.repeats, 1)
	raw.Add32(&t.inflight, ^uint32(0))
}

// write fills the record of a claimed fault and asks for what only the thread itself can tell.
//
//go:nosplit
//go:norace
//go:nocheckptr
func write(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t, seq, now := at[target](w.now.target), w.now.seq-1, w.now.time
	addr, tid := w.now.addr, w.now.tid
	r := s.record(seq)
	r.Time, r.Address, r.Stall = now, addr, 0
	r.Goid, r.Span, r.Stack = 0, 0, 0
	r.Thread, r.Target, r.Messages = tid, t.number, 1
	r.Access, r.Source, r.Flags = uint8(w.now.flags&uint64(uffd.PagefaultFlagWrite)), SourceUnknown, 0
	raw.Release32(&r.state, s.generation(seq)|stClaimed)
	raw.Release32(t.state(w.now.g), gRecord+uint32(seq&s.ringMask))
	if s.byHandler(t, tid) {
		r.Flags |= FlagOwn
		return
	}
	// Go may have preempted it since the message was read: what lies between may have taken page faults of our own.
	// It meets this one again, see absent. A thread that the watchdog has woken meanwhile does not.
	if w.now.known && raw.Load64(&w.relieved) == 0 && s.left(w) {
		raw.Store32(t.state(w.now.g), w.now.before)
		r.Flags |= flagVoid
		r.arrive(stResolved)
		w.now.retracted = true
		return
	}
	wanted := t.flags&tgHeap != 0 || s.wantStack(now)
	if wanted {
		r.Flags |= flagStack
	}
	r.Goid = w.now.goid
	if !w.now.known {
		r.Flags |= FlagHandlerAccounts
	}
	bits := uint32(stWanted)
	if t.kind == kindOverlay {
		bits, r.Source = stWanted|stTheirs, w.now.source
	}
	if wanted || !w.now.known || t.kind == kindOverlay && r.Source != SourcePageCache {
		s.ask(w, seq, r, bits)
	}
	if w.now.known {
		s.account(r, w.now.goid, w.now.parent, t)
	}
}

// again counts a further message for a granule in flight: the same thread's, whose wait was
// interrupted by a signal, or another one's.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) again(t *target, c *counters, state, tid uint32) {
	if state < gRecord {
		raw.Store32(&t.unnamed, 1)
		return
	}
	r := s.record(uint64(state - gRecord))
	raw.Add32(&r.Messages, 1)
	if r.Thread != tid {
		raw.Add64(&c.cotouch, 1)
	}
}

// resolve makes a claimed granule accessible, at once or through another thread of the engine.
//
//go:nosplit
//go:norace
//go:nocheckptr
func resolve(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t, g, seq := at[target](w.now.target), w.now.g, w.now.seq
	if t.kind >= kindShared {
		deep(resolveShared, arg)
		return
	}
	if t.kind == kindOverlay {
		deep(resolveFile, arg)
		return
	}
	source, ok := uint8(SourceUnknown), false
	if raw.Load64(&t.young) == 0 && raw.Load64(&t.old) == 0 { // stays so: the fault is in flight
		if seq != 0 && uintptr(1)<<t.shift == s.pageSize && raw.Load32(&s.record(seq-1).state)&stWanted != 0 {
			w.now.filling = raw.Nanotime()
		}
		source, ok = s.fill(w, t, g, w.now.flags)
	} else {
		source, ok = s.open(w, t, g, w.now.flags)
	}
	if !ok {
		deep(toDisk, arg)
		return
	}
	s.finish(w, t, g, seq, source)
}

// finish publishes a resolved fault, whose record is seq-1 or none, and only then wakes its threads: totals are exact
// before the toucher goes on. Nor may the fill wake it: on the CPU that it shares with the follower it would go on at
// once, and the follower read the clock only at its next fault.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) finish(w *worker, t *target, g uintptr, seq uint64, source uint8) {
	raw.Store32(t.state(g), gOpen) // before wake looks who waits
	if seq != 0 {
		r := s.record(seq - 1)
		r.Source = source
		stall := raw.Nanotime() - r.Time
		if at := raw.Load64(&w.relieved); at != 0 {
			stall = int64(at) - r.Time // the watchdog was faster
		}
		if stall >= slowFault {
			deep(blame, uintptr(unsafe.Pointer(w)))
		}
		r.stalled(stall, w.now.filling)
		accounts := r.Flags&FlagHandlerAccounts != 0
		if !accounts {
			s.spans.Settle(r.Span, r.Stall)
		}
		if before := r.arrive(stResolved); accounts && before&stHandled != 0 {
			s.spans.Settle(r.Span, r.Stall)
		}
	}
	if w.reads != 0 && !s.signals {
		w.due.fd = t.uffd
		w.due.addr, w.due.length = t.span(g, 1)
	} else {
		s.wake(w, t, g, 1)
	}
	raw.Add32(&t.inflight, ^uint32(0))
}

// wake lets every thread that waits for these granules try again.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) wake(w *worker, t *target, g, n uintptr) {
	if s.signals {
		s.callBus()
		return
	}
	s.wakeWaiting(w, t, g, n)
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) wakeWaiting(w *worker, t *target, g, n uintptr) {
	// A function of its own for what stack wake has left.
	addr, length := t.span(g, n)
	w.args[0], w.args[1] = uint64(addr), uint64(length)
	if w.refused = raw.Errno(raw.Syscall(unix.SYS_IOCTL, uintptr(t.uffd), uintptr(uffd.IoctlWake), uintptr(unsafe.Pointer(&w.args)), 0, 0, 0)); w.refused != 0 {
		deep(silenced, uintptr(unsafe.Pointer(w)))
	}
}

// wantStack decides by the sampling rule whether this fault's stack is taken.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) wantStack(now int64) bool {
	every, rate := raw.Load32(&s.stackEvery), raw.Load32(&s.stackRate)
	if every == 0 || raw.Add64(&s.stackN, 1)%uint64(every) != 0 {
		return false
	}
	if rate == 0 {
		return true
	}
	if now-s.rateStart > 1e9 {
		s.rateStart = now
		raw.Store32(&s.rateLeft, rate)
	}
	for {
		n := raw.Load32(&s.rateLeft)
		if n == 0 {
			return false
		}
		if raw.Cas32(&s.rateLeft, n, n-1) {
			return true
		}
	}
}

// targetOf returns the address of a target by its number.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) targetOf(number uint32) uintptr {
	return s.targets + uintptr(number%targetSlots)*targetSize
}
