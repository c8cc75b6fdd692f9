//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// job is what a reader must not wait for itself: a claimed granule that may need storage, or a piece
// of a placeholder that the application moved. The queue is a bounded ring of cells with turn numbers,
// for several writers and readers (D. Vyukov's bounded MPMC queue).
type job struct {
	turn   uint64
	target uintptr
	g      uintptr
	flags  uint64 // of the message
	seq    uint64 // of the record, plus 1; 0 is none
	moved  piece
}

// piece is a part of a placeholder that the application moved or grew; its length is 0 for none.
type piece struct{ from, to, length uintptr }

// queueLen is more than the threads that can wait: Go ends a program that has 10,000 of them
// (SetMaxThreads in runtime/debug).
const (
	queueLen = 1 << 14
	jobSize  = 64
)

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) job(i uint64) *job {
	return at[job](s.queue + uintptr(i%queueLen)*jobSize)
}

// toDisk hands the worker's fault to the disk threads, so that one wait does not delay other faults.
//
//go:nosplit
//go:norace
//go:nocheckptr
func toDisk(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	for {
		h := raw.Load64(&s.queueHead)
		j := s.job(h)
		switch d := int64(raw.Load64(&j.turn) - h); {
		case d < 0:
			s.nap(w, 20e3) // full
		case d == 0 && raw.Cas64(&s.queueHead, h, h+1):
			j.target, j.g, j.flags, j.seq, j.moved = w.now.target, w.now.g, w.now.flags, w.now.seq, w.now.moved
			w.now.target, w.now.seq = 0, 0 // not this worker's any more
			raw.Store64(&j.turn, h+1)
			raw.Add32(&s.queueBell, 1)
			if raw.Load32(&s.queueSleep) != 0 {
				futexWake(&s.queueBell, 1)
			}
			return
		}
	}
}

// disk is the loop of a disk thread.
//
//go:nosplit
//go:norace
//go:nocheckptr
func disk(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	for {
		bell := raw.Load32(&s.queueBell)
		if s.take(w) {
			deep(fromDisk, arg)
			raw.Store32(&w.busy, 0)
			raw.Add64(&w.progress, 1)
			continue
		}
		if raw.Load32(&s.stop) != 0 {
			return
		}
		raw.Add32(&s.queueSleep, 1)
		futexWait(w, &s.queueBell, bell, 0)
		raw.Add32(&s.queueSleep, ^uint32(0))
	}
}

// take makes the next job the worker's, who is busy from then on. It reports false when there is none.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) take(w *worker) bool {
	for {
		tl := raw.Load64(&s.queueTail)
		j := s.job(tl)
		if raw.Load64(&j.turn) != tl+1 {
			if raw.Load64(&s.queueTail) != tl {
				continue
			}
			return false
		}
		if !raw.Cas64(&s.queueTail, tl, tl+1) {
			continue
		}
		raw.Store64(&w.relieved, 0)
		w.now = fault{target: j.target, g: j.g, flags: j.flags, seq: j.seq, moved: j.moved}
		raw.Store64(&j.turn, tl+queueLen)
		raw.Store32(&w.busy, 1)
		return true
	}
}

// fromDisk does one job.
//
//go:nosplit
//go:norace
//go:nocheckptr
func fromDisk(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	// From here on it is this thread's doing: before, storage kept all of them, or the watchdog says that they stand still.
	w.now.time, w.now.still = raw.Nanotime(), raw.Load64(&s.still)
	if w.now.target == 0 {
		s.stray(w, uint32(w.now.flags), w.now.g)
		return
	}
	t := at[target](w.now.target)
	if t.kind >= kindShared {
		deep(resolveShared, arg)
		return
	}
	if t.kind != kindOverlay {
		open := openAgain
		if t.kind == kindFile {
			open = openAnyhow
		}
		deep(open, arg)
		return
	}
	if w.now.moved.length != 0 {
		deep(bringBack, arg)
		raw.Add32(&t.inflight, ^uint32(0))
		return
	}
	s.restored(w)
	deep(handOver, arg)
}

// nap sleeps without the Go scheduler.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) nap(w *worker, ns uint64) {
	w.args[8], w.args[9] = 0, ns
	raw.Syscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&w.args[8])), 0, 0, 0, 0, 0)
}

// futexWait sleeps while *p is v, at most ns nanoseconds if that is not 0.
//
//go:nosplit
//go:norace
//go:nocheckptr
func futexWait(w *worker, p *uint32, v uint32, ns uint64) {
	timeout := uintptr(0)
	if ns != 0 {
		w.args[8], w.args[9] = ns/1e9, ns%1e9
		timeout = uintptr(unsafe.Pointer(&w.args[8]))
	}
	raw.Syscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(p)), futexWaitPrivate, uintptr(v), timeout, 0, 0)
}

//go:nosplit
//go:norace
//go:nocheckptr
func futexWake(p *uint32, n uintptr) {
	raw.Syscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(p)), futexWakePrivate, n, 0, 0, 0)
}

// FUTEX_WAIT and FUTEX_WAKE with FUTEX_PRIVATE_FLAG, include/uapi/linux/futex.h.
const (
	futexWaitPrivate = 0 | 128
	futexWakePrivate = 1 | 128
)
