//go:build linux && (amd64 || arm64)

//lint:file-ignore U1000 assembly calls these, by name or through signalCode

package engine

import (
	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// parkAll stops every thread of the process but the engine's own, in the signal handler. It
// reports false when the deadline passes first: threads in vfork, in uninterruptible sleep or
// with the signal blocked do not answer. The caller unparks in both cases.
//
// A thread that is not in a list was started by one that was not yet parked when the list was
// made. So it takes a list in which every thread had parked before the list was begun.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) parkAll(w *worker, deadline int64) bool {
	// nosplit: runs without a g.
	s.rounds = s.rounds + 1&(1<<31-1)
	round := s.rounds | 1<<30 // never 0
	raw.Store32(&s.parkRound, round)
	for clean := false; ; {
		left, ok := s.askAll(w, round)
		switch {
		case !ok || raw.Nanotime() > deadline:
			return false
		case left == 0 && clean:
			return true
		}
		clean = left == 0
		if !clean {
			s.nap(w, 20e3)
		}
	}
}

// askAll signals every thread that was not asked yet and counts those that have not parked.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) askAll(w *worker, round uint32) (left int, ok bool) {
	// nosplit: runs without a g.
	if !s.rewind() {
		return 0, false
	}
	for {
		n := raw.Syscall(unix.SYS_GETDENTS64, uintptr(s.taskFD), s.text, 64<<10, 0, 0, 0)
		if raw.Errno(n) != 0 {
			s.cmd.fail(callThreads, raw.Errno(n))
			return left, false
		}
		if n == 0 {
			return left, true
		}
		// struct linux_dirent64: length at 16, name at 19.
		for p := s.text; p < s.text+n; p += uintptr(*at[uint16](p + 16)) {
			tid := decimal(p + 19)
			if tid == 0 || s.ours(tid) {
				continue
			}
			t := s.threadOf(tid, true)
			if t == nil {
				return left, false
			}
			if raw.Load32(&t.parked) == round {
				continue
			}
			left++
			if t.asked != round {
				t.asked = round
				if !s.asks(s.queueSignal(w, tid, valuePark|uint64(round))) {
					return left, false
				}
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
	// nosplit: runs without a g.
	e := raw.Errno(raw.Syscall(unix.SYS_LSEEK, uintptr(s.taskFD), 0, 0, 0, 0, 0))
	if e != 0 {
		s.cmd.fail(callSeek, e)
	}
	return e == 0
}

// asks reports whether parking may go on after a signal was sent, or not, to a thread: one that has ended is no reason
// to stop.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) asks(errno uintptr) bool {
	// nosplit: runs without a g.
	if errno == 0 || unix.Errno(errno) == unix.ESRCH {
		return true
	}
	s.cmd.errno = uint32(errno)
	if denied(errno) {
		s.cmd.fail(callSignal, errno) // trying again changes nothing
	}
	return false
}

//go:nosplit
//go:norace
//go:nocheckptr
func decimal(p uintptr) (v uint32) {
	// nosplit: runs without a g.
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
	// nosplit: runs without a g.
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
	// nosplit: runs without a g.
	raw.Store32(&s.parkRound, 0)
	futexWake(&s.parkRound, 1<<30)
}

// park keeps a thread in the signal handler until the surgeon has finished.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) park(round uint32) {
	// nosplit: runs in the signal handler.
	if raw.Load32(&s.parkRound) != round {
		return
	}
	t := s.threadOf(uint32(raw.Syscall(unix.SYS_GETTID, 0, 0, 0, 0, 0, 0)), true)
	if t == nil {
		return
	}
	raw.Store32(&t.parked, round)
	for raw.Load32(&s.parkRound) == round {
		futexWait(nil, &s.parkRound, round, 0)
	}
}
