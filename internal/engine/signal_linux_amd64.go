package engine

import (
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
	// nosplit: runs in the signal handler.
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
func inGo(pc, g uintptr) bool { return true } // nosplit: runs in the signal handler

//go:nosplit
//go:norace
//go:nocheckptr
func currentG(g uintptr) uintptr { return g } // nosplit: runs in the signal handler

const archGetFS = 0x1003 // ARCH_GET_FS, arch/x86/include/uapi/asm/prctl.h

// tlsSlot finds the TLS word that holds g: one word below the base without cgo, at an offset that
// the linker chose with cgo. It never reads below the page that holds that first word.
//
//go:nosplit
//go:norace
//go:nocheckptr
func tlsSlot(g uintptr) uintptr {
	// nosplit: runs in the signal handler.
	var fs uintptr
	if g == 0 || raw.Errno(raw.Syscall(unix.SYS_ARCH_PRCTL, archGetFS, uintptr(unsafe.Pointer(&fs)), 0, 0, 0, 0)) != 0 {
		return 0
	}
	for p := fs - 8; p >= (fs-8)&^4095; p -= 8 {
		if *at[uintptr](p) == g {
			return p
		}
	}
	return 0
}
