//go:build linux && (amd64 || arm64)

//lint:file-ignore U1000 assembly calls these, by name or through busCode

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// With delivery by signal a fault is SIGBUS or SIGSEGV to the thread that made it, and the handler does on that thread what
// a reader does: it claims the granule, makes it accessible, and writes the record, with the stack from the
// signal's context. SIGBUS is of arenas, from the kernel (UFFD_FEATURE_SIGBUS); SIGSEGV is of files, see segv_linux.go.
// Whatever would take a wait for somebody else, or fails, it leaves to the disk threads, as a reader does.
//
// The handler runs on the thread's signal stack with all signals masked, so it must not keep the thread
// for longer than the fault itself would. Where it cannot go on it returns: the instruction is made again,
// and so is the fault.

// busAdrErr is BUS_ADRERR, include/uapi/asm-generic/siginfo.h: the code of a SIGBUS for a page that cannot
// be had. Machine checks, alignment and kill(2) have others.
const busAdrErr = 2

// Codes of SIGSEGV, there: nothing is mapped, as for a nil pointer, or a guard marker is there; the mapping does not allow
// the access.
const (
	segvMapErr = 1 // SEGV_MAPERR
	segvAccErr = 2 // SEGV_ACCERR
)

// nilArea is below what anybody can map (vm.mmap_min_addr), and what pointers with nil in them lead to.
const nilArea = 64 << 10

// busFault is what the handler knows of its signal.
type busFault struct {
	ctx, g uintptr
	side   uintptr // of busIn
	in     bool    // counted there
	ours   bool    // answered, or to be made again: the program goes on
	tid    uint32
	guard  bool    // a SIGSEGV with segvMapErr
	vma    mapLine // what lies at the fault, see lookBus
	armed  bool
	stack  request // not cleared
}

// busCode is the code of onBus, and mineCode of busMine, for bustramp; the others are for onBus.
var (
	busCode  = codeOf(onBus)
	mineCode = codeOf(busMine)
)

// busMine reports whether a signal may be ours: 1, or 0 when it is the business of the handler from before.
//
//go:nosplit
//go:norace
//go:nocheckptr
func busMine(info, ctx, _ uintptr) uintptr {
	switch code := *at[uint32](info + 8); {
	case *at[uint32](info) == uint32(unix.SIGBUS) && code == busAdrErr:
		return 1
	case *at[uint32](info) == uint32(unix.SIGSEGV) && (code == segvAccErr || code == segvMapErr && *at[uintptr](info + 16) >= nilArea):
		return 1
	}
	restoreMask(info, ctx)
	return 0
}

// onBus is the handler of SIGBUS and SIGSEGV. It answers 1 when the program is to go on, 0 when the signal is the
// business of the handler from before. room is a worker's, not cleared.
//
//go:nosplit
//go:norace
//go:nocheckptr
func onBus(info, ctx, g, room uintptr) uintptr {
	w := at[worker](room)
	w.reads, w.watches, w.relieved = 1, 0, 0 // like a reader it leaves to the disk threads what takes longer
	w.bus.ctx, w.bus.g, w.bus.ours, w.bus.guard = ctx, g, false, *at[uint32](info + 8) == segvMapErr
	w.now = fault{addr: *at[uintptr](info + 16), flags: busAccess(ctx)}
	w.enterBus()
	p := uintptr(raw.Load64(&sh))
	if p != 0 && at[shared](p).signals {
		w.shared = p
	} else {
		w.shared = 0
	}
	if *at[uint32](info) == uint32(unix.SIGSEGV) {
		deep(onSegv, room)
	} else {
		if w.shared != 0 {
			deep(answerBus, room)
		}
		w.leaveBus()
		if !w.bus.ours {
			deep(realBus, room)
		}
	}
	w.leaveBus()
	if w.bus.ours {
		return 1
	}
	restoreMask(info, ctx)
	return 0
}

// answerBus answers a fault as answer does a message.
//
//go:nosplit
//go:norace
//go:nocheckptr
func answerBus(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	if raw.Load32(&s.over) != 0 {
		w.bus.ours = s.closeExposed(w) // else the page can be had by now, or the signal is the program's own
		return
	}
	w.now.time, w.now.still = raw.Nanotime(), raw.Load64(&s.still)
	w.now.clock = s.beginHandling()
	addr := w.now.addr
	t := s.find(addr)
	if t == nil || t.kind != kindArena {
		return
	}
	raw.Add32(&t.inflight, 1)
	if raw.Load32(&t.frozen) != 0 {
		raw.Add32(&t.inflight, ^uint32(0)) // whoever froze it waits for those in flight
		s.await(w, &t.frozen, 1)
		w.bus.ours = true
		return
	}
	w.leaveBus()
	w.now.target, w.now.g = uintptr(unsafe.Pointer(t)), t.granule(addr)
	if p := t.state(w.now.g); s.claimBus(w, t, p) {
		deep(serveBus, arg)
		return
	} else {
		raw.Add64(&at[counters](t.counters).repeats, 1)
	}
	raw.Add32(&t.inflight, ^uint32(0))
}

// claimBus claims the fault's granule. What it does not claim is somebody else's fault in flight, ours to
// be made again, or not ours.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) claimBus(w *worker, t *target, p *uint32) bool {
	c := at[counters](t.counters)
	raw.Add64(&s.messages, 1)
	w.bus.tid = s.threadID(w)
	for {
		v := raw.Load32(p)
		if v >= gPending {
			s.again(t, c, v, w.bus.tid)
			s.await(w, p, gPending)
			w.bus.ours = true
			return false
		}
		// An armed page is proven ours by the kernel when it is filled.
		if v == gOpen && !s.discarded(w, t, w.now.addr) {
			return false
		}
		if raw.Cas32(p, v, gPending) {
			return true
		}
	}
}

// serveBus makes a claimed granule accessible and publishes its record.
//
//go:nosplit
//go:norace
//go:nocheckptr
func serveBus(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t := at[target](w.now.target)
	p := t.state(w.now.g)
	w.bus.ours = true
	raw.Add64(&at[counters](t.counters).faults, 1)
	if seq, ok := s.claim(); ok {
		w.now.seq = seq + 1
		r := s.record(seq)
		r.Time, r.Address, r.Stall = w.now.time, w.now.addr, 0
		r.Goid, r.Span, r.Stack = 0, 0, 0
		r.Thread, r.Target, r.Messages = w.bus.tid, t.number, 1
		r.Access, r.Source, r.Flags = uint8(w.now.flags&writeFlag), SourceUnknown, 0
		raw.Store32(&r.state, s.generation(seq)|stClaimed)
		raw.Store32(p, gRecord+uint32(seq&s.ringMask))
	}
	if t.kind == kindFile {
		deep(describe, arg) // not in the stall
		deep(lift, arg)
	} else {
		deep(resolveBus, arg)
	}
	switch {
	case w.now.gone:
		s.void(w, t)
		w.bus.ours = false
	case w.now.left:
		if t.kind != kindFile {
			deep(describe, arg)
		}
		raw.Add32(&t.inflight, 1) // that of the fault becomes the disk thread's
		deep(toDisk, arg)
		s.await(w, p, gPending)
		raw.Add32(&t.inflight, ^uint32(0))
	case t.kind == kindFile:
		deep(touchFile, arg)
	default:
		deep(describe, arg)
		raw.Store32(p, gOpen)
		s.finishBus(w, t)
	}
}

// finishBus publishes a resolved fault. The shared memory may be gone once the target is let go.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) finishBus(w *worker, t *target) {
	took := raw.Nanotime() - w.now.time
	if took >= slowFault {
		deep(blame, uintptr(unsafe.Pointer(w)))
	}
	if w.now.seq != 0 {
		r := s.record(w.now.seq - 1)
		r.Source, r.Stall = w.now.source, took
		s.spans.Settle(r.Span, r.Stall)
		r.arrive(stResolved)
	}
	s.endHandling(w.now.clock)
	s.callBus()
	raw.Add32(&t.inflight, ^uint32(0))
}

// void takes a claimed fault back: the page was not ours. The reader of the ring skips its record.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) void(w *worker, t *target) {
	raw.Store32(t.state(w.now.g), gOpen)
	raw.Add64(&at[counters](t.counters).repeats, 1)
	raw.Add64(&at[counters](t.counters).faults, ^uint64(0))
	if w.now.seq == 0 {
		raw.Add64(&s.dropped, ^uint64(0))
	} else {
		r := s.record(w.now.seq - 1)
		r.Flags = flagVoid
		r.arrive(stResolved)
	}
	s.callBus()
	raw.Add32(&t.inflight, ^uint32(0))
}
