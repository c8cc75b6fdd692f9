//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// resolveBus makes the granule of the worker's fault in an arena accessible on the thread that faulted. It sets
// fault.left for what it leaves to a disk thread.
//
//go:nosplit
//go:norace
//go:nocheckptr
func resolveBus(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t := at[target](w.now.target)
	home := raw.Load64(&t.old) != 0
	if home && !s.enterHome() {
		w.now.left = true
		return
	}
	source, ok := s.open(w, t, w.now.g, w.now.flags)
	if home {
		raw.Add32(&s.homing, ^uint32(0))
	}
	w.now.source, w.now.left = source, !ok
}

// enterHome counts the thread among those that move pages home, unless events are being read.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) enterHome() bool {
	raw.Add32(&s.homing, 1)
	if raw.Load32(&s.reading) == 0 {
		return true
	}
	raw.Add32(&s.homing, ^uint32(0))
	return false
}

// awaitHome waits until no signal handler moves a page home. The caller holds s.reading, so that none
// begins.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) awaitHome(w *worker) {
	for raw.Load32(&s.homing) != 0 {
		s.nap(w, 10e3)
	}
}

// describe fills in what the signal's context and the thread's g tell of a claimed fault.
//
//go:nosplit
//go:norace
//go:nocheckptr
func describe(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	if w.now.seq == 0 {
		return
	}
	r := s.record(w.now.seq - 1)
	pc, sp, fp, word := s.registers(w.bus.ctx)
	g := w.goroutine(pc)
	if s.wantStack(r.Time) {
		w.bus.stack.shared, w.bus.stack.g = w.shared, g
		w.bus.stack.start(r, pc, sp, fp, word)
		deep(walk, uintptr(unsafe.Pointer(&w.bus.stack)))
	}
	goid, parent, _ := s.goroutine(g)
	s.account(r, goid, parent, at[target](w.now.target))
}

// goroutine returns the g of the thread that runs the handler, or 0.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (w *worker) goroutine(pc uintptr) (g uintptr) {
	if !inGo(pc, w.bus.g) {
		return currentG(w.bus.g)
	}
	return w.bus.g
}

// threadID is gettid(2), without the system call where Go knows the thread.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) threadID(w *worker) uint32 {
	pc, _, _, _ := s.registers(w.bus.ctx)
	if g := w.goroutine(pc); g != 0 && s.threadOff != 0 {
		if m := *at[uintptr](g + s.machineOff); m != 0 {
			if id := *at[uint64](m + s.threadOff); id != 0 {
				return uint32(id)
			}
		}
	}
	return uint32(raw.Syscall(unix.SYS_GETTID, 0, 0, 0, 0, 0, 0))
}

// exposedStill reports whether a number in the table of the process is a userfaultfd: that answers an empty
// range with EINVAL, and anything else another request than its own otherwise.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) exposedStill(w *worker, fd uint32) bool {
	w.args[0], w.args[1] = 0, 0
	e := raw.Errno(raw.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(uffd.IoctlWake), uintptr(unsafe.Pointer(&w.args)), 0, 0, 0))
	return e == uintptr(unix.EINVAL)
}
