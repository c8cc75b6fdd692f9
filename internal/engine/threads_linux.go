//go:build linux && (amd64 || arm64)

package engine

import "github.com/firsttouch/firsttouch/internal/raw"

// thread is what the signal handler left about the thread that it ran on.
type thread struct {
	tid         uint32
	parked      uint32  // the last round that it parked in
	asked       uint32  // the last round that it was asked to park in
	left        uint32  // page of the last fault whose goroutine had left the thread
	tls         uintptr // address of the word that holds the current g, 0 where there is none
	verified    int64   // when the handler last ran there
	handling    uint32  // it is in the handler now, see heap_linux.go
	kind        uint32  // what the surgeon knows of it, see judge
	judged      int64   // when it was seen to be of that kind first
	ran         int64   // its processor time then
	asleep      uint32  // how often it had run when it slept in a harmless call and heard our signal, or 0; see sleeps
	_           uint32
	owed        uint32 // signals that asked it for stacks, since it answered one
	knocked     uint32 // it was sent valueKnock, and has not answered
	lateBlocked uint32
	mute        uint32 // it has not answered in time, and none of those since

	// Its goroutine as the handler told it last, the one that started that one, and when. See learn.
	told, toldParent uint64
	toldAt           uint64
	learning         uint32 // page of the fault that it was asked about, plus 1

	// A record that left the ring while the thread waited for storage, by its number plus 1, and what it lacked.
	lateSource uint8
	late       uint64
	lateStall  int64
}

const (
	threadSlots = 1 << 14
	threadProbe = 16
	threadHash  = 2654435761
	threadShift = 32 - 14
	threadGone  = ^uint32(0) // the entry of a thread that ended: free, but lookups go on behind it
	// trust is how long a thread's entry is believed without a new signal. A thread that ended
	// may have given its id to a new one: within this time the kernel would have had to hand out
	// every other id first.
	trust = 250e6
)

// threadOf returns the entry of a thread, claiming a free one if asked to. nil when there is none.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) threadOf(tid uint32, add bool) *thread {
	h := uintptr(tid * threadHash >> threadShift)
	for i := uintptr(0); i < threadProbe; i++ {
		t := at[thread](s.threads + (h+i)%threadSlots*threadSize)
		have := raw.Load32(&t.tid)
		if have == tid {
			return t
		}
		if have == 0 && !add {
			return nil
		}
		if add && (have == 0 || have == threadGone) {
			if raw.Cas32(&t.tid, have, tid) || raw.Load32(&t.tid) == tid {
				t.tls, t.handling, t.kind, t.owed, t.mute, t.knocked, t.asleep = 0, 0, threadNew, 0, 0, 0, 0 // what an earlier thread left
				return t
			}
		}
	}
	return nil
}

const threadSize = 128

// goroutineOf reads the goroutine of a thread that waits in a fault. ok is false when the thread
// has to be asked by signal.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) goroutineOf(tid uint32, now int64) (goid, parent uint64, ok bool) {
	if s.goidOff == 0 {
		return 0, 0, true // nobody can tell: a signal would not help
	}
	if raw.Load32(&s.heaps) != 0 {
		return 0, 0, false // the g may be armed
	}
	t := s.threadOf(tid, false)
	if t == nil || t.tls == 0 || now-t.verified > trust {
		return 0, 0, false
	}
	return s.goroutine(*at[uintptr](t.tls))
}

// goroutine reads the ids of a g. A g is never unmapped, so a stale one gives a wrong id at worst.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) goroutine(g uintptr) (goid, parent uint64, ok bool) {
	if g == 0 || s.goidOff == 0 {
		return 0, 0, true
	}
	goid = *at[uint64](g + s.goidOff)
	if s.parentOff != 0 {
		parent = *at[uint64](g + s.parentOff)
	}
	return goid, parent, true
}

// absent reports, once for each fault, that the goroutine which faulted, the worker's, has left its thread: Go
// preempted it before the message was read. It faults again where it is resumed, and that is the
// touch to count. A thread that faults without a goroutine is believed the second time.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) absent(w *worker) bool {
	f := &w.now
	if !f.known || f.goid != 0 || s.goidOff == 0 {
		return false
	}
	t := s.threadOf(f.tid, false)
	if t == nil || t.left == uint32(f.addr>>12) {
		return false
	}
	t.left = uint32(f.addr >> 12)
	return true
}

// left reports that the worker's thread runs another goroutine than when it was looked at first.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) left(w *worker) bool {
	goid, _, ok := s.goroutineOf(w.now.tid, w.now.time)
	return ok && goid != w.now.goid
}
