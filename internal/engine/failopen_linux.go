//go:build linux && (amd64 || arm64)

package engine

import (
	"fmt"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// blind is why nothing can be armed any more, or nil.
func (e *Engine) blind() error {
	if n := raw.Load64(&e.s.failed); n != 0 {
		return fmt.Errorf("the kernel's messages cannot be read: %w", unix.Errno(n))
	}
	if n := raw.Load64(&e.s.muted); n != 0 {
		return e.mutedError(unix.Errno(n))
	}
	return nil
}

// listen makes sure that messages can be read, and where they cannot makes everything plain memory. It answers what
// it reads.
//
//go:nosplit
//go:norace
//go:nocheckptr
func listen(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	for _, fd := range [2]uint32{s.arenaFD, s.overlayFD} {
		if raw.Load64(&s.failed) != 0 {
			return
		}
		w.reads, w.readErr = 1, 0
		s.drain(w, fd)
		w.reads = 0
		s.heed(w)
	}
}

// heed makes everything plain memory if the worker's last read failed.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) heed(w *worker) {
	if e := unix.Errno(w.readErr); e != 0 && e != unix.EAGAIN && e != unix.EINTR {
		raw.Store64(&s.failed, uint64(e))
		deep(failOpen, uintptr(unsafe.Pointer(w)))
	}
}

// failOpen makes every target plain memory with its contents, since no fault can be heard of any more.
//
//go:nosplit
//go:norace
//go:nocheckptr
func failOpen(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	raw.Store64(&w.relieved, 0)
	raw.Store32(&w.busy, 1)
	tab := uintptr(raw.Load64(&s.table))
	for i := uintptr(0); i < uintptr(at[table](tab).n); i++ {
		w.carry.target = *at[uintptr](tab + tableHeader + i*8)
		deep(openTarget, arg)
	}
	raw.Store32(&w.busy, 0)
	raw.Add64(&w.progress, 1)
}

// openTarget makes one target, carry.target, plain memory: memory is unregistered, after what its layers hold came
// home; a file's mapping is put back, granule by granule.
//
//go:nosplit
//go:norace
//go:nocheckptr
func openTarget(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t := at[target](w.carry.target)
	if t.kind == kindFile {
		return // no message is needed for it
	}
	raw.Add32(&t.inflight, 1)
	for g := uintptr(0); g < t.granules(); g++ {
		switch layered := raw.Load64(&t.old) != 0; {
		case t.kind != kindOverlay && !layered, raw.Load32(t.state(g)) == gOpen:
		case t.kind == kindArena:
			s.comeHome(w, t, g)
		default:
			w.now = fault{target: uintptr(unsafe.Pointer(t)), g: g}
			s.restored(w)
			raw.Store32(t.state(g), gOpen)
			s.wake(w, t, g, 1)
		}
	}
	if t.kind != kindOverlay {
		s.unregister(w, t.uffd, t.lo, t.hi-t.lo)
	}
	raw.Add32(&t.inflight, ^uint32(0))
}

// comeHome brings back what the layers hold of a granule.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) comeHome(w *worker, t *target, g uintptr) {
	addr, length := t.span(g, 1)
	for i := 0; i < 2; i++ {
		layer := uintptr(raw.Load64(&t.young))
		if i == 1 {
			layer = uintptr(raw.Load64(&t.old))
		}
		for ok := layer == 0; !ok; {
			if _, ok = s.bring(w, t, layer+addr-t.lo, addr, length); !ok {
				s.nap(w, 50e3)
			}
		}
	}
}
