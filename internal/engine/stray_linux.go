//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// stray answers a fault in registered memory that no target covers: a piece of the placeholder that
// the application has grown in place with mremap, or has moved, which event answers.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) stray(w *worker, fd uint32, addr uintptr) {
	raw.Add64(&s.strays, 1)
	deep(strayShared, uintptr(unsafe.Pointer(w)))
	if lo, _, _, ok := s.query(w, addr); ok {
		if t := s.find(lo); t != nil && t.kind == kindOverlay {
			raw.Add32(&t.inflight, 1)
			if raw.Load32(&t.frozen) == 0 {
				for g := t.granule(lo); g < t.granules(); g++ {
					raw.Cas32(t.state(g), gArmed, gOpen)
				}
				s.retrieve(w, t, lo, lo, t.hi-lo)
			}
			raw.Add32(&t.inflight, ^uint32(0))
		}
	}
	w.args[0], w.args[1] = uint64(addr&^(s.pageSize-1)), uint64(s.pageSize)
	raw.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(uffd.IoctlWake), uintptr(unsafe.Pointer(&w.args)), 0, 0, 0)
}

// retrieve has a disk thread bring a piece back: that may have to wait for the kernel.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) retrieve(w *worker, t *target, from, to, length uintptr) {
	raw.Add32(&t.inflight, 1) // the target stays until then
	w.now.target, w.now.moved = uintptr(unsafe.Pointer(t)), piece{from, to, length}
	deep(toDisk, uintptr(unsafe.Pointer(w)))
}

// bringBack puts the real mapping over a piece of the placeholder that the application has moved from
// its place in the target, or grown: nobody will look for it there later. The piece may be longer
// than it was.
//
//go:nosplit
//go:norace
//go:nocheckptr
func bringBack(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t := at[target](w.now.target)
	from, to, length := w.now.moved.from, w.now.moved.to, w.now.moved.length
	piece := min(length, t.hi-from)
	if lo, hi, prot, ok := s.query(w, to); ok {
		if lo == to && s.find(hi-1) == nil {
			length = hi - to
		}
		if prot != t.prot || raw.Load32(&t.changed) != 0 {
			raw.Store32(&t.changed, 1)
			raw.Syscall(unix.SYS_MPROTECT, t.alias+from-t.lo, piece, uintptr(prot), 0, 0, 0)
		}
	}
	for try := 0; s.whole(w, t, to, length) || s.mute(); try++ { // the message proves it, where nobody may ask
		e := s.putBack(w, t, from, length, to, protUnknown)
		if e == 0 {
			break
		}
		s.restoreFailed(w, t, e, try)
	}
	w.args[0], w.args[1] = uint64(to), uint64(length)
	raw.Syscall(unix.SYS_IOCTL, uintptr(t.uffd), uintptr(uffd.IoctlWake), uintptr(unsafe.Pointer(&w.args)), 0, 0, 0)
}
