//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// The surgeon changes mappings that other code owns: it lays a placeholder over a file mapping, or takes the access to it
// away, and undoes that again. The kernel offers no compare-and-map, so between a look at the mappings and
// the change nobody else may change them: either the owner guarantees that (a guard), or the
// surgeon parks every other thread of the process in the signal handler meanwhile.

// command is one operation for the surgeon. Its writer waits for the end.
type command struct {
	bell   uint32 // raised for a new command, and to stop
	done   uint32
	op     uint32
	park   uint32 // stop the other threads; else the caller holds a guard
	status uint32
	errno  uint32
	target uintptr
	cover  uintptr // opPlace, opRearm: registered placeholder of the target's length, not yet in place
	dev    uint64  // of the file, as /proc/self/maps shows it: major<<32 | minor
	inode  uint64
	limit  int64   // ns that parking may take
	worked int64   // ns of took in which the operation was done
	cursor uintptr // opDisarm, opRelease: where to go on, from the target's start; 0 when all is done
	// See lineFrom.
	lineFrom              uintptr
	found                 mapLine
	list, listEnd, listAt uintptr
	took                  int64 // ns that the other threads were parked

	// Of a command that is busy: which thread is in the way, or 0, and why; the number of the system call that it is in,
	// plus 1; its name.
	culprit, why uint32
	inCall       uint64
	name         [16]byte
	armed        int64 // when the range was covered: before any of its faults is answered
	holes        uint64
	call         uintptr // that failed, plus 1; 0 is not said
	moved        uintptr // of the placeholder, from its start: it left a hole there, which is anybody's

	sample     uintptr // opPlace, opRearm, opRelease, opReleaseMemory: what is to be armed, see target.sample
	blockShift uintptr
	prot       uint32 // opPlace, opRearm: what may be done with the placeholder once it is in place
	onFault    uint32 // opPlace, opRearm: what is locked there is locked when it is touched, and is to stay so
	nlocks     uintptr
	locked     uint32 // whether the process has locked memory: lockedNo or lockedYes once that was asked

	items     uintptr // room for cutsMost cuttings
	count, at uintptr // how many of them the command is for, 0 where it is for its target; which one it is at
	deadline  int64   // until when to wait for faults that are in flight
	slice     int64   // ns for which it may go on with one more of them
	patient   int64   // until when nobody is to be stopped while a thread waits for a processor; 0 is not at all
	line      mapLine // see disarmLine
	heed      heed
	locks     [maxLocks]AddrRange // what is locked of the target
}

// Operations.
const (
	opPlace   = iota // first arming: the whole range is the file's mapping
	opRearm          // the range is the file's mapping or our placeholder, piece by piece
	opDisarm         // every piece of our placeholder becomes the file's mapping again
	opRelease        // so do the pieces that are not in the sample
)

// Values of command.locked.
const (
	lockedNo = 1 + iota
	lockedYes
)

// Answers.
const (
	statusOK     = iota
	statusBusy   // threads could not be parked, or faults not finished, in time
	statusGone   // the range is not what it was
	statusFailed // a system call failed, see errno
	statusLocked // the process wants it locked in memory
	statusSignal // our signal has another handler
)

// Why a command is busy.
const (
	whyLate   = 1 + iota // the thread did not run in time
	whyDeaf              // it blocks our signal
	whyBegins            // so it does, for less than deafAfter: Go's threads do so while they start
	whyAway              // it is in a system call that may change mappings
	whyMany              // there are more threads than can be told apart
	whyUnsent            // our signal could not be sent to it, see errno
	whyFaults            // faults of the target wait for storage
	whyWaits             // the thread waits for a processor
)

//go:nosplit
//go:norace
//go:nocheckptr
func surgeon(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	s.serve(w, &s.cmd.bell, &s.cmd.done, operate)
	// The readers' poll ends; Go code has no descriptor for it.
	w.args[0] = 1
	raw.Syscall(unix.SYS_WRITE, uintptr(s.stopFD), uintptr(unsafe.Pointer(&w.args)), 8, 0, 0, 0)
}

// serve runs code on the worker whenever the bell has been raised, and answers in done, until the
// engine stops.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) serve(w *worker, bell, done *uint32, work func(uintptr)) {
	for seen := uint32(0); ; {
		rung := raw.Load32(bell)
		switch {
		case raw.Load32(&s.stop) != 0:
			return
		case rung == seen:
			if w.number == surgeonNumber && s.mute() {
				deep(rescue, uintptr(unsafe.Pointer(w)))
				if raw.Load32(&s.stop) != 0 {
					return
				}
			}
			futexWait(w, bell, rung, 0)
		default:
			seen = rung
			deep(work, uintptr(unsafe.Pointer(w)))
			raw.Store32(done, seen)
			futexWake(done, 1<<30)
		}
	}
}

//go:nosplit
//go:norace
//go:nocheckptr
func operate(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	c.status, c.errno, c.call, c.took, c.holes, c.moved = statusOK, 0, 0, 0, 0, 0
	c.worked, c.list, c.locked = 0, 0, 0
	if c.op == opPlace || c.op == opRearm || c.op == opYank {
		// Each moves registered memory, and mremap then waits until its event has been read.
		deep(listen, arg)
		if e := raw.Load64(&s.failed) | raw.Load64(&s.muted); e != 0 {
			c.status, c.errno = statusFailed, uint32(e)
			return
		}
	}
	if c.op >= opDrop {
		c.took = s.whileStill(w, armShared)
		return
	}
	if c.op >= opYank {
		deep(operateMemory, arg)
		return
	}
	if took := s.whileStill(w, cut); c.park != 0 {
		c.took = took
	}
}

// cut does the operation. Nobody else changes the range while it runs.
//
//go:nosplit
//go:norace
//go:nocheckptr
func cut(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	t := at[target](c.target)
	if t.kind == kindFile {
		deep(changeAccess, arg)
		return
	}
	if c.op == opDisarm || c.op == opRelease {
		deep(disarm, arg)
		return
	}
	if c.locked == 0 { // once a command, and before lineFrom reads all mappings to the same place
		c.locked = lockedNo
		if s.anyLocks(w, s.text) {
			c.locked = lockedYes
		}
	}
	if c.nlocks = 0; c.locked == lockedYes {
		if deep(findLocks, arg); c.status != statusOK {
			return
		}
	}
	if !s.intact(w, c, t) || c.op == opPlace && !s.aliasOf(w, c, t) {
		if c.status == statusOK {
			c.status = statusGone
		}
		return
	}
	if c.op == opPlace || c.op == opRearm {
		t.sample, t.blockShift = c.sample, c.blockShift
	}
	deep(place, arg)
}

// place moves the placeholder over the blocks that are to be armed.
//
//go:nosplit
//go:norace
//go:nocheckptr
func place(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	t := at[target](c.target)
	// Two mappings with different flags: an mremap of the range by the application then fails, as
	// it does for any range of several mappings, instead of growing a piece of anonymous memory.
	half := t.lo + (t.hi-t.lo)/2&^(s.pageSize-1)
	if e := raw.Errno(raw.Syscall(unix.SYS_MPROTECT, c.cover, t.hi-t.lo, uintptr(c.prot), 0, 0, 0)); e != 0 {
		c.fail(callProtect, e)
		return
	}
	for lo := t.lo; lo < t.hi; {
		end, armed := t.run(lo, t.hi)
		if lo < half {
			end = min(end, half)
		}
		if !armed {
			raw.Syscall(unix.SYS_MUNMAP, c.cover+lo-t.lo, end-lo, 0, 0, 0, 0)
			c.moved += end - lo
		} else if !s.moveCover(c, c.cover+lo-t.lo, end-lo, lo) {
			s.takeBack(w, c, t, lo)
			s.lockAgain(c)
			return
		}
		lo = end
	}
	s.lockAgain(c)
	c.armed = raw.Nanotime()
	s.resetStates(t)
	raw.Store64(&t.plain, 0)
}

// takeBack leaves nothing unserved when only a part of a placeholder, up to an address, came into place. A
// target that is being armed again keeps it: its granules there are armed, the others stay what they were.
// One that is new will be forgotten, so the file's mapping comes back.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) takeBack(w *worker, c *command, t *target, hi uintptr) {
	for lo := t.lo; lo < hi; {
		end, armed := t.run(lo, hi)
		switch {
		case armed && c.op == opRearm:
			t.setStates(lo, end, gArmed)
		case armed:
			for try := 0; ; try++ {
				e := s.putBack(w, t, lo, end-lo, lo, protUnknown)
				if e == 0 {
					break
				}
				s.restoreFailed(w, t, e, try)
			}
		}
		lo = end
	}
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) moveCover(c *command, from, length, to uintptr) bool {
	if e := raw.Errno(raw.Syscall(unix.SYS_MREMAP, from, length, length, remapOver, to, 0)); e != 0 {
		c.fail(callRemap, e)
		return false
	}
	c.moved += length
	raw.Add64(&s.moving.made, 1)
	return true
}

// intact reports whether the whole range is the file's mapping or, when re-arming, our placeholder.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) intact(w *worker, c *command, t *target) bool {
	var l mapLine
	c.heed = heed{}
	for next := t.lo; next < t.hi; next = l.Hi {
		if !s.lineFrom(w, &l, next) || l.Lo > next || !l.isFile(c, t) && (c.op != opRearm || !s.isCover(w, t, &l)) {
			return false
		}
		if c.op == opRearm {
			s.heedMapping(w, next, min(l.Hi, t.hi), !l.Shared)
		}
	}
	if c.op == opRearm {
		deep(heedEnd, uintptr(unsafe.Pointer(w)))
	}
	return true
}

// aliasOf reports whether the alias is of the command's file. It was made before the threads were parked, when
// another one may have been mapped there.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) aliasOf(w *worker, c *command, t *target) bool {
	var l mapLine
	return s.lineFrom(w, &l, t.alias) && l.Lo <= t.alias &&
		l.Shared && l.Inode == c.inode && l.Dev == c.dev && l.Offset+uint64(t.alias-l.Lo) == uint64(t.offset)
}

// cutSlice bounds, in ns, how long one command gives pieces back: the other threads are stopped meanwhile.
const cutSlice = 4e6

// disarm puts the file's mapping back over every piece of the placeholder, but for what the command's
// sample keeps. Pieces that are neither have been given to somebody else meanwhile and are left alone. A piece
// goes back as a whole, whatever its size; after cutSlice the rest is left to the next command, see command.cursor.
//
//go:nosplit
//go:norace
//go:nocheckptr
func disarm(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	t := at[target](c.target)
	next := t.lo + c.cursor
	if c.cursor = 0; c.op == opDisarm {
		next = max(next, uintptr(t.plain))
	}
	limit := raw.Nanotime() + cutSlice
	c.heed = heed{}
	var l mapLine
	for next < t.hi && s.lineFrom(w, &l, next) && l.Lo < t.hi {
		lo := max(l.Lo, next)
		if !l.isFile(c, t) {
			w.carry.dst = lo
			c.line = l
			deep(disarmLine, arg)
		} else {
			s.heedMapping(w, lo, min(l.Hi, t.hi), false)
		}
		if c.status != statusOK {
			break
		}
		next = min(l.Hi, t.hi)
		if raw.Nanotime() > limit && next < t.hi {
			c.cursor = next - t.lo
			break
		}
	}
	deep(heedEnd, arg)
	if c.op == opDisarm {
		if c.cursor == 0 && c.status == statusOK {
			next = t.hi
		}
		raw.Store64(&t.plain, uint64(next))
	}
}

// disarmLine is disarm for one mapping, the command's line, from address carry.dst on.
//
//go:nosplit
//go:norace
//go:nocheckptr
func disarmLine(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	t := at[target](c.target)
	l := &c.line
	lo, hi := w.carry.dst, min(l.Hi, t.hi)
	if !s.isCover(w, t, l) {
		c.holes++ // unless it cannot be told, which isCover says
		return
	}
	s.heedMapping(w, lo, hi, true)
	if t.changed != 0 || l.Prot != t.prot {
		raw.Syscall(unix.SYS_MPROTECT, t.alias+lo-t.lo, hi-lo, uintptr(l.Prot), 0, 0, 0)
	}
	for end := lo; lo < hi; lo = end {
		stays := false
		if end = hi; c.op == opRelease {
			if end, stays = c.run(t, lo, hi); stays {
				continue
			}
		}
		length := end - lo
		if c.op == opDisarm && l.Hi > hi && s.find(hi) == nil {
			length = l.Hi - lo // the application has grown its mapping in place
		}
		if e := s.putBack(w, t, lo, length, lo, l.Prot); e != 0 {
			c.fail(callRemap, e)
			return
		}
		if c.op == opRelease {
			raw.Add64(&s.maps, 2)
			t.setStates(lo, end, gOpen)
		}
	}
}

// isCover reports whether a mapping is our placeholder. Where nobody may ask the command fails: what is ours
// would be left with nobody to serve it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) isCover(w *worker, t *target, l *mapLine) bool {
	lo, hi := max(l.Lo, t.lo), min(l.Hi, t.hi)
	if l.Shared || lo >= hi {
		return false
	}
	is := s.asked(w, t, lo, hi-lo)
	if is == answerNobody {
		s.cmd.fail(callContinue, s.barredBy(callContinue))
	}
	return is == answerYes
}

// fail ends a command for a call that was refused.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (c *command) fail(call, errno uintptr) {
	c.status, c.errno, c.call = statusFailed, uint32(errno), call+1
}

// statesLen is the size of a target's array of states.
//
//go:nosplit
//go:norace
//go:nocheckptr
func statesLen(t *target) uintptr {
	return (t.granules()*4 + 4095) &^ 4095
}
