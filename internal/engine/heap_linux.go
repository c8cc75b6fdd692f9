//go:build linux && (amd64 || arm64)

package engine

import (
	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// Targets in the Go heap differ from other private memory in four ways.
//
// Goroutines, threads' own structs, and stacks live there, signal stacks among them. So while one is
// armed the engine's threads read no g: a thread is asked for its goroutine by signal, each time. The
// handler may touch armed memory, and the kernel too when it lays the handler's frame on the signal
// stack: the touch waits for the resolver as any other, and a signal that is asked for meanwhile comes
// after the handler has returned. Each page can do that once, so it ends.
//
// Only the stack tells whether the program or the garbage collector touched a page: it is always taken.
//
// What the handler itself touches is marked as the engine's own.
//
// The runtime never unmaps its heap, so nobody has to be parked for a change, not even while the
// scavenger discards memory: what it discards it does not expect to read as zeros (allocNeedsZero,
// runtime/mheap.go). A page that it was about to discard while the target was armed may stay in a layer
// until it is used again.

// AddHeap registers [lo, hi), a piece of the Go heap, as AddMemory does.
func (e *Engine) AddHeap(r *Region, lo, hi, granule uintptr, offset int64, know func(*Target)) (*Target, error) {
	return e.add(r, lo, hi, granule, offset, tgHeap, know)
}

// byHandler reports whether a fault is one of the handler of our own signal, which runs on the thread.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) byHandler(t *target, tid uint32) bool {
	if t.flags&tgHeap == 0 {
		return false
	}
	th := s.threadOf(tid, false)
	return th != nil && raw.Load32(&th.handling) != 0
}

// markOwn marks a fault on the signal stack of the thread that the handler interrupted with this context,
// where the usual signal is ours: struct ucontext begins with flags, link and stack on both architectures
// (include/uapi/asm-generic/ucontext.h).
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Record) markOwn(ctx uintptr) {
	if r.Address-*at[uintptr](ctx + 16) < *at[uintptr](ctx + 32) {
		r.Flags |= FlagOwn
	}
}

// handling marks the calling thread as one in our handler while there is a target in the Go heap, and
// returns what to unmark.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) handling() *thread {
	if raw.Load32(&s.heaps) == 0 {
		return nil
	}
	t := s.threadOf(uint32(raw.Syscall(unix.SYS_GETTID, 0, 0, 0, 0, 0, 0)), true)
	if t != nil {
		raw.Store32(&t.handling, 1)
	}
	return t
}
