//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// resolveBus makes the granule of the worker's fault accessible on the thread that faulted, also where it
// has to wait for storage: so would that thread without us. It sets fault.left for what it leaves to a
// disk thread.
//
//go:nosplit
//go:norace
//go:nocheckptr
func resolveBus(arg uintptr) {
	// nosplit: runs in the signal handler.
	w := at[worker](arg)
	s := at[shared](w.shared)
	t, g := at[target](w.now.target), w.now.g
	if t.kind == kindArena {
		home := raw.Load64(&t.old) != 0
		if home && !s.enterHome() {
			w.now.left = true
			return
		}
		source, ok := s.open(w, t, g, w.now.flags)
		if home {
			raw.Add32(&s.homing, ^uint32(0))
		}
		w.now.source, w.now.left = source, !ok
		return
	}
	// Asked for one page: what else the granule has is looked at once it is mapped, which costs a fraction.
	w.now.source = SourcePageCache
	told := t.flags&tgMincore != 0
	if told && !s.mapped(w, t.alias+w.now.addr&^(s.pageSize-1)-t.lo, s.pageSize) {
		w.now.source = SourceDisk
	}
	before := uint64(0)
	if !told {
		before = storageReads()
	}
	if !s.restored(w) {
		return
	}
	deep(s.readBusCode, arg)
	if !told && storageReads() != before {
		w.now.source = SourceDisk
	}
	if w.now.source != SourceDisk {
		w.now.waited = 0
	}
}

// readBus maps what the granule now shows of the file, so that a wait for storage is over when the clock
// stops. One fault maps the cached pages around it too (fault_around_bytes, 64 KiB), so the others are only
// read where some are missing. What cannot be had is left to the toucher: it gets the SIGBUS that the plain
// mapping would have given it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func readBus(arg uintptr) {
	// nosplit: runs in the signal handler.
	w := at[worker](arg)
	s := at[shared](w.shared)
	t := at[target](w.now.target)
	start := raw.Nanotime()
	raw.Syscall(unix.SYS_MADVISE, w.now.addr&^(s.pageSize-1), s.pageSize, unix.MADV_POPULATE_READ, 0, 0, 0)
	addr, length := t.span(w.now.g, 1)
	if told := t.flags&tgMincore != 0; length > s.pageSize && (!told || !s.mapped(w, addr, length)) {
		if told && !s.mapped(w, t.alias+addr-t.lo, length) {
			w.now.source = SourceDisk
		}
		// One read for all, also where the mapping is marked MADV_RANDOM.
		raw.Syscall(unix.SYS_MADVISE, addr, length, unix.MADV_WILLNEED, 0, 0, 0)
		raw.Syscall(unix.SYS_MADVISE, addr, length, unix.MADV_POPULATE_READ, 0, 0, 0)
	}
	w.now.waited = raw.Nanotime() - start
}

// enterHome counts the thread among those that move pages home, unless events are being read.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) enterHome() bool {
	// nosplit: runs in the signal handler.
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
	// nosplit: runs without a g.
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
	// nosplit: runs in the signal handler.
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
		deep(s.walkCode, uintptr(unsafe.Pointer(&w.bus.stack)))
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
	// nosplit: runs in the signal handler.
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
	// nosplit: runs in the signal handler.
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

// provenBus asks whether the memory at the fault is our placeholder still: a SIGBUS alone does not prove
// it, since the application may have mapped something else there. It notes when all of the granule is.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) provenBus(w *worker, t *target) int {
	// nosplit: runs in the signal handler.
	addr, length := t.span(w.now.g, 1)
	is := s.registered(w, t.uffd, addr, length)
	w.now.proven = is == answerYes
	if is == answerNo && length > s.pageSize {
		is = s.registered(w, t.uffd, w.now.addr&^(s.pageSize-1), s.pageSize)
	}
	if is != answerYes && !s.exposedStill(w, t.uffd) {
		return answerUnknown
	}
	return is
}

// answerUnknown is an answer of provenBus only: the application has closed our number.
const answerUnknown = answerNobody + 1

// exposedStill reports whether a number in the table of the process is a userfaultfd: that answers an empty
// range with EINVAL, and anything else another request than its own otherwise.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) exposedStill(w *worker, fd uint32) bool {
	// nosplit: runs in the signal handler.
	w.args[0], w.args[1] = 0, 0
	e := raw.Errno(raw.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(uffd.IoctlWake), uintptr(unsafe.Pointer(&w.args)), 0, 0, 0))
	return e == uintptr(unix.EINVAL)
}
