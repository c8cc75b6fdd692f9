//go:build linux && (amd64 || arm64)

//lint:file-ignore U1000 assembly calls these, by name or through signalCode

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/internal/stacktab"
	"golang.org/x/sys/unix"
)

// The value of our signal: a record's sequence number, or a parking round with this bit.
const valuePark = 1 << 63

// valueKnock asks for nothing but an answer. No round has this number.
const valueKnock = valuePark

// valueLearn asks which goroutine the thread runs.
const valueLearn = 1 << 62

const siQueue = ^uint32(0) // SI_QUEUE, -1

// onSignal is the handler of our signal, called by sigtramp on the thread that is to answer, on
// its signal stack and with all signals masked. It returns the handler from before where the signal is not ours and
// that one is to go on, or 0. The kernel delivers it at the faulting
// instruction, since the wait for a fault is interruptible (handle_userfault, fs/userfaultfd.c).
//
//go:nosplit
//go:norace
//go:nocheckptr
func onSignal(info, ctx, g uintptr) uintptr {
	// nosplit: runs on a signal stack, on any thread, at any instruction.
	// Only what this process has queued, and marked as ours, is.
	if *at[uint32](info + 8) != siQueue || *at[uint32](info + 20) != mark || *at[uint32](info + 16) != raw.Load32(&ownPID) {
		return *at[uintptr](uintptr(unsafe.Pointer(&signalBefore)) + uintptr(*at[uint32](info))*8)
	}
	raw.Add32(&inHandler, 1)
	if p := uintptr(raw.Load64(&sh)); p != 0 {
		at[shared](p).onSignal(info, ctx, g)
	}
	raw.Add32(&inHandler, ^uint32(0))
	return 0
}

// ownPID is the id of the process, as the engine that was started last has seen it. One that was forked since has another.
var ownPID uint32

// mark is in the place of the sender's user id in signals of ours, for which nobody asks.
const mark = 0x66747374

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) onSignal(info, ctx, g uintptr) {
	v := *at[uint64](info + 24)
	switch {
	case v == valueKnock:
		s.answered()
	case v&valuePark != 0:
		s.park(uint32(v))
	default:
		q := asked{shared: uintptr(unsafe.Pointer(s)), ctx: ctx, g: g, value: v}
		deep(answerAsked, uintptr(unsafe.Pointer(&q))) // a signal stack has room
	}
}

// asked is a signal that asks the thread about itself.
type asked struct {
	shared, ctx, g uintptr
	value          uint64
}

//go:nosplit
//go:norace
//go:nocheckptr
func answerAsked(arg uintptr) {
	a := at[asked](arg)
	s := at[shared](a.shared)
	start := raw.Nanotime()
	q := request{shared: a.shared, seq: a.value, ctx: a.ctx, g: a.g, now: start}
	if a.value == valueLearn {
		deep(tell, uintptr(unsafe.Pointer(&q)))
		return
	}
	t := s.handling()
	q.wait.clock = s.beginHandling()
	deep(capture, uintptr(unsafe.Pointer(&q)))
	if t != nil {
		raw.Store32(&t.handling, 0)
	}
	wait := &q.wait
	if wait.tid != 0 {
		deep(awaitPage, uintptr(unsafe.Pointer(wait)))
	}
	if !wait.gone {
		s.endHandling(wait.clock)
	}
}

// request is what a record wants to know of the thread that the handler runs on.
type request struct {
	shared uintptr
	seq    uint64
	ctx, g uintptr
	now    int64

	// See start.
	record uintptr
	frame  stacktab.Frame
	word   uintptr

	wait standing // for storage; its tid is 0 where there is none
}

// capture answers the request of one record.
//
//go:nosplit
//go:norace
//go:nocheckptr
func capture(arg uintptr) {
	q := at[request](arg)
	s := at[shared](q.shared)
	seq, g := q.seq, q.g
	r := s.record(seq)
	st := raw.Load32(&r.state)
	for {
		if st>>stBits<<stBits != s.generation(seq) || st&stWanted == 0 || st&(stActive|stHandled|stAbandoned) != 0 {
			raw.Add64(&s.late, 1)
			s.answered()
			return
		}
		if raw.Cas32(&r.state, st, st|stActive) {
			break
		}
		st = raw.Load32(&r.state)
	}
	pc, sp, fp, word := s.registers(q.ctx)
	if !inGo(pc, g) {
		g = currentG(g)
	}
	s.remember(r.Thread, g, q.now)
	r.markOwn(q.ctx)
	moved := s.moved(r, pc, g)
	switch wants := r.Flags&(flagStack|FlagOwn) == flagStack; {
	case wants && moved:
		r.Flags |= FlagStackMissed
		raw.Add32(&s.missed, 1)
	case wants:
		q.g = g
		q.start(r, pc, sp, fp, word)
		deep(walk, arg)
	}
	if r.Flags&(FlagHandlerAccounts|FlagOwn) == FlagHandlerAccounts {
		goid, parent, _ := s.goroutine(g)
		s.account(r, goid, parent, at[target](s.targetOf(r.Target)))
	}
	if st&stTheirs != 0 {
		q.goOn(r, pc, g, moved)
		return
	}
	r.passes()
	if before := r.arrive(stHandled); before&stResolved != 0 && r.Flags&FlagHandlerAccounts != 0 {
		s.spans.Settle(r.Span, r.Stall)
	}
}

// goOn has awaitPage end a record that is the handler's to resolve: only the goroutine that faulted waits for storage.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (q *request) goOn(r *Record, pc, g uintptr, moved bool) {
	s := at[shared](q.shared)
	if afterCall(pc) {
		r.Flags |= FlagStallBound
	} else if told := r.Flags&FlagHandlerAccounts == 0 || g == 0; moved || !told && r.Source != SourcePageCache {
		r.Flags |= FlagStallUnknown
	}
	q.wait.holds = s.holdsP(pc, g) && r.Flags&FlagStallUnknown == 0
	q.wait.masks = masks(q.ctx)
	q.wait.shared, q.wait.seq, q.wait.page, q.wait.tid = q.shared, q.seq, r.Address&^(s.pageSize-1), r.Thread
}

// start sets where the walk begins. word is the return address of a function without a frame, or 0 where
// that may lie at the stack pointer.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (q *request) start(r *Record, pc, sp, fp, word uintptr) {
	q.record, q.word = uintptr(unsafe.Pointer(r)), word
	q.frame.PC, q.frame.FP, q.frame.Lo, q.frame.Hi = pc, fp, sp-recordBelowSP, sp
}

// walk gives a record its stack.
//
//go:nosplit
//go:norace
//go:nocheckptr
func walk(arg uintptr) {
	q := at[request](arg)
	s := at[shared](q.shared)
	r, f, g, word := at[Record](q.record), q.frame, q.g, q.word
	sp := f.Hi
	if g != 0 && s.frames {
		if lo, hi := *at[uintptr](g), *at[uintptr](g + 8); sp >= lo && sp < hi {
			f.Hi = hi
			if word == 0 && sp+8 <= hi {
				word = *at[uintptr](sp)
			}
		}
	}
	if word < s.textLo || word >= s.textHi {
		word = 0
	}
	var cut bool
	r.Stack, cut = s.stacks.Intern(f, word)
	if cut || !s.frames {
		r.Flags |= FlagStackCut
	}
}

// moved reports whether the thread no longer runs the goroutine that faulted: Go preempted it before
// our signal came, so that the thread is in the scheduler or runs another one, and the fault will be
// met again by whoever resumes it. In C code g is the thread's own, without an id, and nothing moves.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) moved(r *Record, pc, g uintptr) bool {
	if s.goidOff == 0 {
		return false
	}
	goid, _, _ := s.goroutine(g)
	if goid == 0 && pc >= s.textLo && pc < s.textHi {
		// In the Go heap it is the garbage collector, which works on the threads' own stacks.
		return at[target](s.targetOf(r.Target)).flags&tgHeap == 0
	}
	return r.Flags&FlagHandlerAccounts == 0 && goid != r.Goid
}

// flagStack: the record wants a stack, not only the goroutine. Not seen by readers.
const flagStack = 1 << 9

// tell leaves which goroutine the thread runs.
//
//go:nosplit
//go:norace
//go:nocheckptr
func tell(arg uintptr) {
	q := at[request](arg)
	s := at[shared](q.shared)
	g := q.g
	if pc, _, _, _ := s.registers(q.ctx); !inGo(pc, g) {
		g = currentG(g)
	}
	tid := uint32(raw.Syscall(unix.SYS_GETTID, 0, 0, 0, 0, 0, 0))
	s.remember(tid, g, q.now)
	if t := s.threadOf(tid, true); t != nil {
		t.told, t.toldParent, _ = s.goroutine(g)
		raw.Store64(&t.toldAt, uint64(q.now))
	}
}

// remember leaves where the thread's g can be read without a signal.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) remember(tid uint32, g uintptr, now int64) {
	t := s.threadOf(tid, true)
	if t == nil {
		return
	}
	if now-t.verified > trust || t.tls == 0 || *at[uintptr](t.tls) != g {
		t.tls = s.tlsSlot(g)
	}
	t.verified, t.owed = now, 0
	raw.Store32(&t.mute, 0)
}

// owedMost bounds how many signals wait for a thread that does not answer: they count in the user's limit on queued
// signals, and stay there for as long as the thread blocks them. A system call may make that many faults.
const owedMost = 2048

// answered: the calling thread takes our signal.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) answered() {
	if t := s.threadOf(uint32(raw.Syscall(unix.SYS_GETTID, 0, 0, 0, 0, 0, 0)), false); t != nil {
		t.owed = 0
		raw.Store32(&t.mute, 0)
		raw.Store32(&t.knocked, 0)
	}
}

// ask asks the thread of a record for its stack or goroutine, before the fault is resolved: so
// the thread cannot pass the faulting instruction without running the handler.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) ask(w *worker, seq uint64, r *Record, bits uint32) {
	r.arrive(bits)
	e := uintptr(unix.ESRCH)
	t := s.threadOf(r.Thread, true)
	if s.signalStands(w, r.Time, false) && (t == nil || raw.Load32(&t.mute) == 0 && t.owed < owedMost) {
		if t != nil {
			t.owed++
		}
		e = s.queueSignal(w, r.Thread, seq)
	}
	if e != 0 {
		// The thread is gone, or does not answer, or the limit on queued signals was reached, or the call is refused.
		if unix.Errno(e) != unix.ESRCH {
			raw.Store64(&s.unsent, uint64(e))
		}
		s.unseen(r)
		if r.arrive(stActive|stHandled)&stActive != 0 {
			raw.Add64(&s.late, 1)
		}
	}
}

// queueSignal sends our signal with a value to one thread.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) queueSignal(w *worker, tid uint32, value uint64) uintptr {
	// struct siginfo, include/uapi/asm-generic/siginfo.h
	sig := uintptr(raw.Load64(&s.signal))
	if sig == 0 {
		return uintptr(unix.ESRCH)
	}
	i := uintptr(unsafe.Pointer(&w.siginfo))
	*at[uint32](i) = uint32(sig)
	*at[uint32](i + 4) = 0
	*at[uint32](i + 8) = siQueue
	*at[uint32](i + 16) = uint32(s.pid)
	*at[uint32](i + 20) = mark
	*at[uint64](i + 24) = value
	return raw.Errno(raw.Syscall(unix.SYS_RT_TGSIGQUEUEINFO, s.pid, uintptr(tid), sig, i, 0, 0))
}
