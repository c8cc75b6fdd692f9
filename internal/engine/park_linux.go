//go:build linux && (amd64 || arm64)

//lint:file-ignore U1000 assembly calls these, by name or through signalCode

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// What askAll does with each thread that has not parked.
const (
	askJudge = iota // looks at it, before anybody is stopped
	askPark         // signals those that were not asked yet
	askAbout        // looks why it does not answer
)

// judgeAfter is after how long without an answer, in ns, threads are looked at while others are parked, and again.
const judgeAfter = 2e6

// parkAll stops every thread of the process but the engine's own and the kernel's, in the signal handler or in the
// kernel. It reports false where the command is not to go on: busy, with the thread that is in the way, or failed. The
// caller unparks in both cases.
//
// A thread that is not in a list was started by one that was not yet parked when the list was
// made. So it takes a list in which every thread had parked before the list was begun.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) parkAll(w *worker, deadline int64) bool {
	c := &s.cmd
	s.rounds = s.rounds + 1&(1<<31-1)
	round := s.rounds | 1<<30 // never 0
	raw.Store32(&s.parkRound, round)
	w.ask.round = round
	start := raw.Nanotime()
	next := start + judgeAfter
	for clean := false; ; {
		left := s.askAll(w, askPark)
		now := raw.Nanotime()
		if now-start > parkSlow {
			s.slowUntil = now + slowFor
		}
		switch {
		case c.status != statusOK:
			return false
		case left == 0 && clean:
			// Threads that the kernel keeps have not run the handler.
			if !s.signalStands(w, now, true) {
				c.status = statusSignal
			}
			return c.status == statusOK
		case raw.Load64(&s.signal) == 0:
			c.status = statusSignal
			return false
		case now > deadline:
			c.status, c.why = statusBusy, whyLate // c.culprit is one that was left
			return false
		}
		if clean = left == 0; clean {
			continue
		}
		if now > next {
			if s.askAll(w, askAbout); c.status != statusOK {
				return false
			}
			next = raw.Nanotime() + judgeAfter
		}
		s.nap(w, 20e3)
	}
}

const (
	// parkSlow is for how long, in ns, threads may take to stop on a machine that has a processor for each: beyond that it is
	// looked which of them wait for one, for slowFor.
	parkSlow = 1e6
	slowFor  = 10e9
	// patientLeast is how long, in ns, nobody is looked at between two looks at a process of which some thread waits for a processor,
	// and patientShare how long at least, as a multiple of what the look took.
	patientLeast = 1e6
	patientShare = 4
)

// awaitRoom looks at the threads before anybody is stopped, until none of them waits for a processor, or the command's patience is over.
//
//go:nosplit
//go:norace
//go:nocheckptr
func awaitRoom(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	for {
		begun := raw.Nanotime()
		c.culprit, c.why = 0, 0
		s.askAll(w, askJudge)
		if c.status != statusOK || c.why != whyWaits {
			return
		}
		now := raw.Nanotime()
		if now > c.patient {
			return
		}
		s.nap(w, uint64(min(max(patientLeast, patientShare*(now-begun)), 50*patientLeast)))
	}
}

// sleeps notes of the worker's thread that it sleeps in a system call that changes no mapping, and hears our signal. When it has not run
// by the time that it has been sent one, it takes that before its next instruction, and counts as parked: where others want
// the processors it would take milliseconds until it has done so. So does one that was seen to sleep like that some time ago, and has been
// woken, but has not run since: it waits for a processor, in the kernel.
//
// One that waits for a processor otherwise may be in the middle of any call, and nobody is stopped to wait for it, while the command is patient.
//
//go:nosplit
//go:norace
//go:nocheckptr
func sleeps(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	a := &w.ask
	t := at[thread](a.thread)
	runs := s.runs(w, a.tid)
	if runs == 0 || runs == t.asleep {
		return
	}
	t.asleep = 0
	before := s.processorTime(w, a.tid)
	if !s.readTask(w, a.tid, taskSyscall) {
		return
	}
	text := s.text + taskList
	switch c := *at[uint8](text); {
	case c == '-': // it waits for a page
	case c < '0' || c > '9': // it is on a processor, or waits for one
		if s.cmd.patient != 0 && s.processorTime(w, a.tid) == before {
			s.cmd.culprit, s.cmd.why = a.tid, whyWaits // the others are looked at all the same
		}
		return
	case !s.isHarmless(uint64(decimal(text))):
		return
	}
	bit := uint64(1) << (raw.Load64(&s.signal) - 1)
	if blocked, _, ok := s.masks(w, a.tid); ok && blocked&bit == 0 {
		t.asleep = runs
	}
}

// runs is how often a thread was given a processor (/proc/TID/schedstat), or 0 where the kernel does not count that. Its processor time
// does not tell whether it has run: the time that a hypervisor and interrupts take is left out of it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) runs(w *worker, tid uint32) (n uint32) {
	if !s.readTask(w, tid, taskRuns) {
		return 0
	}
	p := s.text + taskList
	for blanks := 0; blanks < 2; p++ {
		switch *at[uint8](p) {
		case 0:
			return 0
		case ' ':
			blanks++
		}
	}
	return decimal(p)
}

// isHarmless reports whether a system call changes no mapping.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) isHarmless(nr uint64) bool {
	return nr < 512 && *at[uint64](uintptr(unsafe.Pointer(&s.harmless)) + uintptr(nr/64)*8)>>(nr%64)&1 != 0
}

// askAll goes over the threads and returns how many have not parked.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) askAll(w *worker, what int) (left int) {
	w.ask.what = what
	deep(askThreads, uintptr(unsafe.Pointer(w)))
	return w.ask.left
}

//go:nosplit
//go:norace
//go:nocheckptr
func askThreads(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	w.ask.left = 0
	if !s.rewind() {
		return
	}
	for {
		n := raw.Syscall(unix.SYS_GETDENTS64, uintptr(s.taskFD), s.text, taskList, 0, 0, 0)
		if e := raw.Errno(n); e != 0 {
			s.cmd.fail(callThreads, e)
			return
		}
		if n == 0 {
			return
		}
		// struct linux_dirent64: length at 16, name at 19.
		for p := s.text; p < s.text+n; p += uintptr(*at[uint16](p + 16)) {
			tid := decimal(p + 19)
			if tid == 0 || s.ours(tid) {
				continue
			}
			w.ask.tid = tid
			deep(askOne, uintptr(unsafe.Pointer(w)))
			if s.cmd.status != statusOK {
				return
			}
			if w.ask.answer != 0 {
				w.ask.left++
			}
		}
	}
}

// askOne does that with the worker's thread. Its answer is whether that one still runs.
//
//go:nosplit
//go:norace
//go:nocheckptr
func askOne(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	a := &w.ask
	a.answer = 0
	if waitsForStorage(a.tid) {
		return // in our handler
	}
	t := s.placeOf(a.tid)
	if t == nil {
		s.blame(a.tid, whyMany)
		return
	}
	a.thread = uintptr(unsafe.Pointer(t))
	switch {
	case a.what == askJudge:
		// The others are asked by signal, and looked at where they do not answer.
		if k := t.kind; k != threadHears && (k != threadKernel || raw.Nanotime()-t.judged > trust) {
			deep(judge, arg)
		}
		switch {
		case t.kind != threadHears:
			t.asleep = 0
		case c.status == statusOK && raw.Nanotime() < s.slowUntil:
			deep(sleeps, arg)
		}
	case raw.Load32(&t.parked) == a.round:
	case t.kind == threadKernel:
		// It runs no code of the program. What it may do to memory on its behalf is to discard some: see discardGrace.
		if c.op >= opYank && c.op < opDrop && raw.Nanotime()-int64(raw.Load64(&at[target](c.target).removed)) < discardGrace {
			deep(idle, arg)
		}
	case a.what == askAbout:
		deep(judge, arg)
	default:
		a.answer = 1
		c.culprit = a.tid
		if t.asked != a.round {
			t.asked = a.round
			if e := s.queueSignal(w, a.tid, valuePark|uint64(a.round)); e != 0 && unix.Errno(e) != unix.ESRCH {
				s.blame(a.tid, whyUnsent)
				if c.errno = uint32(e); denied(e) {
					c.fail(callSignal, e) // trying again changes nothing
				}
			} else if t.asleep != 0 && s.runs(w, a.tid) == t.asleep {
				raw.Store32(&t.parked, a.round)
				a.answer = 0
			}
		}
	}
}

// rewind goes to the start of the list of threads. It would be at its end, and look as if nobody were left.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) rewind() bool {
	e := raw.Errno(raw.Syscall(unix.SYS_LSEEK, uintptr(s.taskFD), 0, 0, 0, 0, 0))
	if e != 0 {
		s.cmd.fail(callSeek, e)
	}
	return e == 0
}

// placeOf is threadOf for the surgeon, who makes room where threads that have ended fill the table.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) placeOf(tid uint32) *thread {
	if t := s.threadOf(tid, true); t != nil {
		return t
	}
	h := uintptr(tid * threadHash >> threadShift)
	for i := uintptr(0); i < threadProbe; i++ {
		t := at[thread](s.threads + (h+i)%threadSlots*threadSize)
		have := raw.Load32(&t.tid)
		if have != 0 && have != threadGone && unix.Errno(raw.Errno(raw.Syscall(unix.SYS_TGKILL, s.pid, uintptr(have), 0, 0, 0, 0))) == unix.ESRCH {
			raw.Cas32(&t.tid, have, threadGone)
		}
	}
	return s.threadOf(tid, true)
}

// blame ends the command for a thread that cannot be stopped now.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) blame(tid, why uint32) {
	s.cmd.status, s.cmd.culprit, s.cmd.why = statusBusy, tid, why
}

//go:nosplit
//go:norace
//go:nocheckptr
func decimal(p uintptr) (v uint32) {
	for c := *at[uint8](p); c >= '0' && c <= '9'; c = *at[uint8](p) {
		v = v*10 + uint32(c-'0')
		p++
	}
	return v
}

// ours reports whether a thread is the engine's.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) ours(tid uint32) bool {
	for i := uintptr(0); i < maxWorkers; i++ {
		if *at[uint32](uintptr(s.own) + i*4) == tid {
			return true
		}
	}
	return false
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) unpark() {
	raw.Store32(&s.parkRound, 0)
	futexWake(&s.parkRound, 1<<30)
}

// park keeps a thread in the signal handler until the surgeon has finished.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) park(round uint32) {
	if raw.Load32(&s.parkRound) == round {
		s.parkThread(uint32(raw.Syscall(unix.SYS_GETTID, 0, 0, 0, 0, 0, 0)), round)
	}
}

// parkThread is park for the calling thread.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) parkThread(tid, round uint32) {
	t := s.threadOf(tid, true)
	if t == nil {
		return
	}
	raw.Store32(&t.parked, round)
	for raw.Load32(&s.parkRound) == round {
		futexWait(nil, &s.parkRound, round, 0)
	}
}
