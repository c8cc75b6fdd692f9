//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// Handlers find the engine and its table without a lock, so whoever takes something away from them waits
// until none can hold it: they are counted on one of two sides, and the sides take turns (settleBus).
var (
	busSide uint32
	busIn   [2]struct {
		n uint32
		_ [60]byte // a cache line each
	}
)

// What the kernel says of a page is one moment's. It can only change from ours to plain, but for
// placements of memory by the engine, which are counted.
var placing, placed uint32

//go:nosplit
//go:norace
//go:nocheckptr
func (w *worker) enterBus() {
	w.bus.side, w.bus.in = uintptr(raw.Load32(&busSide)&1), true
	raw.Add32(sideBus(w.bus.side), 1)
}

//go:nosplit
//go:norace
//go:nocheckptr
func (w *worker) leaveBus() {
	if w.bus.in {
		w.bus.in = false
		raw.Add32(sideBus(w.bus.side), ^uint32(0))
	}
}

//go:nosplit
//go:norace
//go:nocheckptr
func sideBus(side uintptr) *uint32 {
	// By address: the check of an index needs stack.
	return at[uint32](uintptr(unsafe.Pointer(&busIn)) + side*unsafe.Sizeof(busIn[0]))
}

// Waits of the handler for others are short, so that the thread is not kept from the surgeon, from Go's
// preemption and from other signals.
const (
	awaitNS    = 500e3
	awaitTimes = 4
)

// await waits, briefly, while *p is busy or more.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) await(w *worker, p *uint32, busy uint32) {
	raw.Add32(&s.busWaiting, 1)
	for range awaitTimes {
		bell := raw.Load32(&s.busBell)
		if raw.Load32(p) < busy {
			break
		}
		futexWait(w, &s.busBell, bell, awaitNS)
	}
	raw.Add32(&s.busWaiting, ^uint32(0))
}

// callBus wakes who waits in await: a granule was opened, or a target is no longer frozen.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) callBus() {
	if raw.Load32(&s.busWaiting) != 0 {
		raw.Add32(&s.busBell, 1)
		futexWake(&s.busBell, 1<<30)
	}
}

// realBus finds out whether a SIGBUS that was not answered is the program's own: its page cannot be had,
// and that is not our doing. A signal may be late: the granule was opened, or the region closed, since the
// kernel sent it. Then the page can be had by now.
//
//go:nosplit
//go:norace
//go:nocheckptr
func realBus(arg uintptr) {
	w := at[worker](arg)
	w.enterBus()
	before := raw.Load32(&placed)
	real := raw.Load32(&placing) == 0 && !w.ours()
	if real {
		advice := uintptr(unix.MADV_POPULATE_READ)
		if w.now.flags != 0 {
			advice = unix.MADV_POPULATE_WRITE
		}
		e := raw.Errno(raw.Syscall(unix.SYS_MADVISE, w.now.addr&^(busPage-1), busPage, advice, 0, 0, 0))
		if denied(e) {
			e = touched(w.now.addr&^(busPage-1), w.now.flags != 0)
		}
		switch unix.Errno(e) {
		case 0, unix.EAGAIN, unix.EINTR:
			real = false
		default:
			real = raw.Load32(&placing) == 0 && raw.Load32(&placed) == before
		}
	}
	w.leaveBus()
	w.bus.ours = !real
}

// touched has the kernel touch a page: it reads a signal mask there, whose use is then a wrong argument, or adds 0 to a
// word. It returns EFAULT where the page cannot be had, for which a load would be SIGBUS, or 0. Go makes both calls all the
// time, where a seccomp filter may refuse madvise(MADV_POPULATE_READ), which besides would have the read submitted by a
// thread of the kernel (blk_start_plug, mm/madvise.c): on a busy machine that takes its time.
//
//go:nosplit
//go:norace
//go:nocheckptr
func touched(page uintptr, write bool) (errno uintptr) {
	const wakeOp, add = 5 | 128, 1 << 28 // FUTEX_WAKE_OP with FUTEX_PRIVATE_FLAG, FUTEX_OP_ADD, include/uapi/linux/futex.h
	if write {
		errno = raw.Errno(raw.Syscall(unix.SYS_FUTEX, page, wakeOp, 0, 0, page, add))
	} else {
		errno = raw.Errno(raw.Syscall(unix.SYS_RT_SIGPROCMASK, ^uintptr(0), page, 0, 8, 0, 0))
	}
	if unix.Errno(errno) == unix.EFAULT {
		return errno
	}
	return 0
}

// ours reports whether the page is registered memory of the engine all the same: the application moved a piece
// of it, or grew it, and the engine does not know yet.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (w *worker) ours() bool {
	p := uintptr(raw.Load64(&sh))
	if p == 0 || !at[shared](p).signals {
		return false
	}
	s := at[shared](p)
	if s.mute() && raw.Load32(&s.over) != overAll && s.find(w.now.addr) != nil {
		s.nap(w, 200e3) // it is made plain
		return true
	}
	page := w.now.addr &^ (s.pageSize - 1)
	is := s.registered(w, s.arenaFD, page, s.pageSize)
	if is == answerNo || is >= answerLater && !s.exposedStill(w, s.arenaFD) {
		return false
	}
	if is == answerYes && s.find(w.now.addr) == nil {
		w.now = fault{addr: w.now.addr, g: w.now.addr, flags: uint64(s.arenaFD)} // no target: a stray
		deep(toDisk, uintptr(unsafe.Pointer(w)))
	}
	s.nap(w, 200e3)
	return true
}
