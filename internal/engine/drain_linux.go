//go:build linux && (amd64 || arm64)

package engine

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// Patience is how long a record may wait for its signal handler before it is taken without: the
// thread may have ended, block the signal, or sit in a long system call.
const Patience = 250 * time.Millisecond

// Head is the number of records claimed so far.
func (e *Engine) Head() uint64 { return raw.Load64(&e.s.head) }

// Folded is the number of records that Next has returned.
func (e *Engine) Folded() uint64 { return raw.Load64(&e.s.tail) }

// Next copies the next finished record, in claim order, and frees its place. ok is false when the
// next one is not finished; one that has waited for its signal handler for long is taken without, and one whose thread waits for
// storage for as long comes when that is over.
// It has one caller at a time.
func (e *Engine) Next() (rec Finished, ok bool) {
	s := e.s
	if rec, ok := e.nextLate(); ok {
		return rec, true
	}
	for {
		seq := s.tail
		if seq == raw.Load64(&s.head) {
			return rec, false
		}
		r := s.record(seq)
		st := raw.Load32(&r.state)
		if st>>stBits<<stBits != s.generation(seq) || st&stClaimed == 0 {
			return rec, false
		}
		switch {
		case st&stHandled != 0 || st&stTheirs == 0 && st&(stResolved|stWanted) == stResolved:
			if st&stResolved == 0 {
				return rec, false
			}
		case st&stWaiting != 0:
			if !r.late() || !e.stackReady(r) {
				return rec, false
			}
			rec = Finished{Record: *r, Seq: seq}
			if raw.Cas32(&r.state, st, 0) {
				e.late = append(e.late, rec)
				raw.Store64(&s.tail, seq+1)
			}
			continue
		case st&(stResolved|stBack) == 0 || st&stActive != 0 || !r.late() || !e.abandon(r, st):
			return rec, false
		}
		if !e.stackReady(r) {
			return rec, false
		}
		rec = Finished{Record: *r, Seq: seq}
		if r.Flags&FlagBlocked != 0 {
			rec.Blocked = heldFor(uint64(*s.blockedOf(seq)))
		}
		raw.Store32(&r.state, 0)
		raw.Store64(&s.tail, seq+1)
		if rec.Flags&flagVoid == 0 {
			return rec.shown(), true
		}
	}
}

// late reports whether its thread has had long enough.
func (r *Record) late() bool { return Now()-time.Duration(r.Time) >= Patience }

// Finished is a record that is complete, with its claim number.
type Finished struct {
	Record
	Seq     uint64
	Blocked time.Duration // for how long all Ps were held while its thread waited for storage, and so held one of them
}

// shown is a record without the flags that are the engine's own affair.
func (r Finished) shown() Finished {
	r.Flags &^= flagStack
	return r
}

func (e *Engine) stackReady(r *Record) bool {
	return r.Stack == 0 || e.s.stacks.Ready(r.Stack)
}

// nextLate returns a record whose thread has stopped waiting for storage.
func (e *Engine) nextLate() (rec Finished, ok bool) {
	for i, l := range e.late {
		if t := e.s.threadOf(l.Thread, false); t != nil && raw.Load64(&t.late) == l.Seq+1 {
			l.Stall, l.Source, l.Blocked = t.lateStall, t.lateSource, heldFor(uint64(t.lateBlocked))
			e.late = slices.Delete(e.late, i, i+1)
			return l.shown(), true
		}
	}
	return rec, false
}

// Waiting is the number of records that have left the ring, since their threads wait for storage.
func (e *Engine) Waiting() int { return len(e.late) }

// WaitsFor reports whether a record of one of these targets has left the ring, since its thread waits for storage.
func (e *Engine) WaitsFor(one func(target uint32) bool) bool {
	return slices.ContainsFunc(e.late, func(l Finished) bool { return one(l.Target) })
}

// Waits reports whether a record of a span has left the ring, since its thread waits for storage.
func (e *Engine) Waits(span uint64) bool {
	return slices.ContainsFunc(e.late, func(l Finished) bool { return l.Span == span })
}

// readyAhead is for how many records the ring has memory before they are claimed: what one thread makes in some 40 ms,
// a little less than passes between two folds. It is 1 MiB.
const readyAhead = 1 << 14

// ReadyRing gives the part of the ring that comes next its memory, on its first round. Without it, and before Linux
// 5.14, each page of the ring is a fault of the kernel's own within a fault that is observed, which then costs
// twice as much: one in 64. It has one caller at a time.
func (e *Engine) ReadyRing() {
	s := e.s
	end := min(raw.Load64(&s.head)+readyAhead, s.ringMask+1)
	const each = 4096 / 64 // not for every few records a call
	if end < e.ready+each {
		return
	}
	lo, hi := s.ring+uintptr(e.ready)*64, s.ring+uintptr(end)*64
	lo &^= s.pageSize - 1
	unix.Syscall(unix.SYS_MADVISE, lo, hi-lo, unix.MADV_POPULATE_WRITE) // refused: as before
	e.ready = end
}

// abandon gives a record's handler up. It reports false when the handler came in that moment.
func (e *Engine) abandon(r *Record, st uint32) bool {
	if !raw.Cas32(&r.state, st, st|stAbandoned) {
		return false
	}
	e.s.unseen(r)
	if st&stTheirs != 0 {
		r.Stall = 0
		r.Flags |= FlagStallUnknown
		e.s.spans.Settle(r.Span, 0)
	}
	raw.Add64(&e.s.abandoned, 1)
	if t := e.s.threadOf(r.Thread, false); t != nil {
		raw.Store32(&t.mute, 1) // until it answers
	}
	return true
}

// Stack returns the program counters of a stack by its number, leaf first, and the return address
// of the leaf if it has no frame of its own; see Record.Stack.
func (e *Engine) Stack(number uint32) (pcs []uintptr, word uintptr) {
	return e.s.stacks.Stack(number)
}

// SetStacks changes which faults have their stack taken, see Config.
func (e *Engine) SetStacks(every, rate int) {
	raw.Store32(&e.s.stackRate, uint32(rate))
	raw.Store32(&e.s.stackEvery, uint32(every))
}

// Stats are the engine's own counters.
type Stats struct {
	Claimed, Dropped, Messages uint64
	Missed, Late, StackFull    uint64
	Abandoned                  uint64 // of the missed: the thread did not answer
	Unsent                     error  // why threads could not be asked for stacks, or nil
	Errors, Strays, Events     uint64
	LastErr                    uint64
	Asked                      uint64 // times that the kernel was asked whose memory lies somewhere
	Refused                    uint64 // of Errors: calls that give a page back, by the kernel
	Widened                    uint64
	Failed                     uint64        // errno for which every target was made plain memory, or 0
	Relieved                   uint64        // times that the watchdog had to stand in for another thread
	Stood                      uint64        // those of them for which storage is no excuse
	Slowest                    time.Duration // the longest fault that was the engine's own doing, 0 below a second
	Unlocked                   uint64        // errno of a lock of the process's that could not be had again, or 0
	Refiled                    uint64        // pieces of files that were mapped anew, by their path
	Waited                     time.Duration // CLOCK_MONOTONIC when a restore was refused last, and tried again
	Maps                       int64         // estimate of the process's mappings
	Switches                   uint64        // hand-overs to the follower
	Rescues                    uint64        // times that the follower did not get its CPU
	Overhead                   time.Duration
	Stops                      uint64        // times that the other threads were parked, or asked to
	Stopped                    time.Duration // for how long, in all: from when the first one was asked
}

// Stats reads the counters.
func (e *Engine) Stats() Stats {
	s := e.s
	out := Stats{
		Claimed: raw.Load64(&s.head), Dropped: raw.Load64(&s.dropped),
		Missed: uint64(raw.Load32(&s.missed)), Late: raw.Load64(&s.late), StackFull: s.stacks.Full(),
		Errors: raw.Load64(&s.errors), Strays: raw.Load64(&s.strays), Events: raw.Load64(&s.events),
		LastErr: raw.Load64(&s.lastErr), Refused: raw.Load64(&s.refused),
		Widened: raw.Load64(&s.widened), Relieved: raw.Load64(&s.relieved), Stood: raw.Load64(&s.stood), Slowest: time.Duration(raw.Load64(&s.slowest)), Failed: raw.Load64(&s.failed), Maps: int64(raw.Load64(&s.maps)),
		Unlocked: raw.Load64(&s.unlocked), Asked: raw.Load64(&s.questions),
		Refiled: raw.Load64(&s.refiled), Waited: time.Duration(raw.Load64(&s.waited)),
		Switches: raw.Load64(&s.place.switches), Rescues: uint64(raw.Load32(&s.place.stalls)),
		Overhead: e.overhead(),
		Stops:    raw.Load64(&s.stops), Stopped: time.Duration(raw.Load64(&s.stopped)),
	}
	if n := raw.Load64(&s.unsent); n != 0 {
		out.Unsent = unsent(unix.Errno(n))
	}
	out.Abandoned = raw.Load64(&s.abandoned)
	// Last: never fewer than there are faults.
	out.Messages = raw.Load64(&s.messages)
	for _, p := range e.workers {
		out.Messages += raw.Load64(&at[worker](p).messages)
	}
	return out
}

// overhead is the processor time of the engine's threads and of its signal handler.
func (e *Engine) overhead() time.Duration {
	sum := time.Duration(raw.Load64(&e.s.handlerNS))
	for _, t := range e.threads {
		sum += threadTime(t.TID())
	}
	return sum
}

// threadClock is the CPU clock of a thread of this process: the id's complement, shifted, with
// the bits for "scheduler's clock, of one thread" (include/linux/posix-timers.h).
//
//go:nosplit
//go:norace
//go:nocheckptr
func threadClock(tid int) uintptr {
	// nosplit: the surgeon calls it.
	const sched, perThread = 2, 4
	return uintptr(^tid<<3 | perThread | sched)
}

// threadTime reads the CPU clock of a thread of this process.
func threadTime(tid int) time.Duration {
	var ts [2]int64
	if raw.Errno(raw.Syscall(unix.SYS_CLOCK_GETTIME, threadClock(tid), uintptr(unsafe.Pointer(&ts)), 0, 0, 0, 0)) != 0 {
		return scheduled(tid)
	}
	return time.Duration(ts[0]*1e9 + ts[1])
}

// scheduled reads the same from /proc, where a seccomp filter refuses the clock: Go asks the vDSO for the others, so a
// profile that was recorded from a Go service may not have it. The first number is the time on a processor in ns
// (proc_pid_schedstat, fs/proc/base.c).
func scheduled(tid int) time.Duration {
	text, err := os.ReadFile("/proc/self/task/" + strconv.Itoa(tid) + "/schedstat")
	if err != nil {
		return 0
	}
	first, _, _ := bytes.Cut(text, []byte{' '})
	n, err := strconv.ParseInt(string(first), 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(n)
}
