package engine

import (
	"maps"
	"runtime"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// Offsets into struct ucontext: 40 bytes of header, then struct sigcontext
// (arch/x86/include/uapi/asm/sigcontext.h).
const (
	ctxRBP = 40 + 10*8
	ctxRSP = 40 + 15*8
	ctxRIP = 40 + 16*8
)

// recordBelowSP is how far below its stack pointer the frame record of a function may start.
const recordBelowSP = 0

// registers returns where the thread stood. word is 0: the return address of a function without
// a frame is the word at sp, read once the stack is known to be Go's.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) registers(ctx uintptr) (pc, sp, fp, word uintptr) {
	pc, sp, fp = *at[uintptr](ctx + ctxRIP), *at[uintptr](ctx + ctxRSP), *at[uintptr](ctx + ctxRBP)
	if pc == s.preemptPC { // see sigctxt.pushCall, runtime/signal_amd64.go
		pc, sp = *at[uintptr](sp), sp+8
	}
	return pc, sp, fp, 0
}

// inGo always trusts g: it comes from the thread's own TLS, whatever code was interrupted.
//
//go:nosplit
//go:norace
//go:nocheckptr
func inGo(pc, g uintptr) bool { return true }

//go:nosplit
//go:norace
//go:nocheckptr
func currentG(g uintptr) uintptr { return g }

const archGetFS = 0x1003 // ARCH_GET_FS, arch/x86/include/uapi/asm/prctl.h

// tlsSlot returns where the calling thread, whose g is given, keeps its current g, or 0.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) tlsSlot(g uintptr) uintptr {
	base := threadBase()
	if g == 0 || s.tlsOff == 0 || base == 0 || *at[uintptr](base - s.tlsOff) != g {
		return 0
	}
	return base - s.tlsOff
}

// threadBase returns what the thread's TLS is below, or 0.
//
//go:nosplit
//go:norace
//go:nocheckptr
func threadBase() (base uintptr) {
	if raw.Errno(raw.Syscall(unix.SYS_ARCH_PRCTL, archGetFS, uintptr(unsafe.Pointer(&base)), 0, 0, 0, 0)) != 0 {
		return 0
	}
	return base
}

// tlsOffset finds how far below its base a thread keeps its current g: one word without cgo, and as far as the linker
// chose with cgo. As with goidOffsets it is measured, on several goroutines and threads, and counts only if no other
// word is theirs on all of them. It is looked for in the page that holds the first word alone, which is there. 0 is not
// found; then each goroutine is asked by signal.
func tlsOffset() uintptr {
	const trials = 8
	var offsets map[uintptr]bool
	release := make(chan struct{})
	defer close(release)
	for range trials {
		found := make(chan map[uintptr]bool)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			here := make(map[uintptr]bool, 4)
			if base := threadBase(); base != 0 {
				for p := base - 8; p >= (base-8)&^4095; p -= 8 {
					if *at[uintptr](p) == raw.G() {
						here[base-p] = true
					}
				}
			}
			found <- here
			<-release // the next one is on another thread
		}()
		here := <-found
		if offsets == nil {
			offsets = here
		}
		maps.DeleteFunc(offsets, func(o uintptr, _ bool) bool { return !here[o] })
	}
	if len(offsets) != 1 {
		return 0
	}
	for o := range offsets {
		return o
	}
	return 0
}

// afterCall reports whether the instruction before pc is SYSCALL: a thread that has met armed memory in a system call is there when it
// takes its signal, and one that has met it itself is not.
//
//go:nosplit
//go:norace
//go:nocheckptr
func afterCall(pc uintptr) bool {
	// The page before it may not be there.
	return pc&4095 >= 2 && *at[uint16](pc - 2) == 0x050f
}
