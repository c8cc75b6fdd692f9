//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
)

// whileStill runs code of the surgeon while nothing changes the command's target: the other threads are parked,
// where the command says so, and no fault of the target is in flight. Where that cannot be had in time it runs nothing,
// and the command is busy. took is for how long somebody was stopped.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) whileStill(w *worker, work func(uintptr)) (took int64) {
	c := &s.cmd
	t := at[target](c.target)
	c.culprit, c.why = 0, 0
	if c.park != 0 {
		if !s.signalStands(w, raw.Nanotime(), true) {
			c.status = statusSignal
			return 0
		}
		deep(awaitRoom, uintptr(unsafe.Pointer(w)))
		if c.status == statusOK && c.why == whyWaits && c.patient != 0 {
			c.status = statusBusy
		}
		if c.status != statusOK {
			return 0
		}
		c.culprit = 0
	}
	// What waits for a message to be read would wait for a thread of the idle class.
	raw.Store32(&s.place.barred, 1)
	s.recall(w)
	start, still := raw.Nanotime(), raw.Load64(&s.still)
	if c.deadline = start + c.limit; c.park == 0 || s.parkAll(w, c.deadline) {
		if c.count != 0 {
			deep(cutAll, uintptr(unsafe.Pointer(w)))
		} else {
			s.freeze(w, t, work, c.deadline)
		}
	}
	if c.park != 0 {
		s.unpark()
	}
	took = s.lasted(start, still)
	if c.park != 0 && c.status == statusBusy && c.culprit != 0 {
		w.ask.tid = c.culprit
		deep(nameOf, uintptr(unsafe.Pointer(w)))
	}
	raw.Store32(&s.place.barred, 0)
	return took
}

// lasted is for how long the command took since start, and counts it where the other threads were stopped for it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) lasted(start int64, still uint64) (took int64) {
	now := raw.Nanotime()
	took = now - start
	if s.cmd.park == 0 {
		return took
	}
	if took > stillFrom {
		took -= min(took, s.standstill(start, now, still)) // a SIGSTOP in the middle of it is not our doing
	}
	raw.Add64(&s.stopped, uint64(took))
	raw.Add64(&s.stops, 1)
	return took
}

// freeze runs code of the surgeon while no fault of the target is in flight, or has the command busy.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) freeze(w *worker, t *target, work func(uintptr), deadline int64) {
	// nosplit: runs without a g.
	// Only once no thread can wait in the kernel for a fault of this target may its faults be left
	// unanswered: a system call would not let its thread park.
	raw.Store32(&t.frozen, 1)
	if s.quiesce(w, t, deadline) {
		begun := raw.Nanotime()
		deep(work, uintptr(unsafe.Pointer(w)))
		s.cmd.worked = raw.Nanotime() - begun
	} else {
		s.blame(0, whyFaults)
	}
	raw.Store32(&t.frozen, 0)
	s.wake(w, t, 0, t.granules())
}

// quiesce waits until no fault of a frozen target is in flight.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) quiesce(w *worker, t *target, deadline int64) bool {
	for raw.Load32(&t.inflight) != 0 {
		if raw.Nanotime() > deadline {
			return false
		}
		s.nap(w, 20e3)
	}
	return true
}
