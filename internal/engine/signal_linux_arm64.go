package engine

// Offsets into struct ucontext: 176 bytes to struct sigcontext, which starts with the fault
// address (arch/arm64/include/uapi/asm/sigcontext.h).
const (
	ctxX0 = 176 + 8
	ctxG  = ctxX0 + 28*8
	ctxFP = ctxX0 + 29*8
	ctxLR = ctxX0 + 30*8
	ctxSP = ctxX0 + 31*8
	ctxPC = ctxX0 + 32*8
)

// recordBelowSP is how far below its stack pointer the frame record of a function may start: Go on
// arm64 keeps the return address at the stack pointer, and the caller's frame pointer below it.
const recordBelowSP = 8

// registers returns where the thread stood; word is the link register, the return address of a
// function without a frame.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) registers(ctx uintptr) (pc, sp, fp, word uintptr) {
	pc, sp, fp, word = *at[uintptr](ctx + ctxPC), *at[uintptr](ctx + ctxSP), *at[uintptr](ctx + ctxFP), *at[uintptr](ctx + ctxLR)
	if pc == s.preemptPC { // see sigctxt.pushCall, runtime/signal_arm64.go
		pc, word, sp = word, *at[uintptr](sp), sp+16
	}
	return pc, sp, fp, word
}

// inGo reports whether g, which the trampoline took from R28, can be trusted: only Go's own code
// keeps g there.
//
//go:nosplit
//go:norace
//go:nocheckptr
func inGo(pc, g uintptr) bool {
	s := at[shared](uintptr(sh))
	return pc >= s.textLo && pc < s.textHi
}

//go:nosplit
//go:norace
//go:nocheckptr
func currentG(g uintptr) uintptr { return 0 }

// tlsSlot is 0: without cgo, g is only in a register, so every goroutine is asked by signal.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) tlsSlot(g uintptr) uintptr { return 0 }

func tlsOffset() uintptr { return 0 }

// afterCall reports whether the instruction before pc is SVC: a thread that has met armed memory in a system call is there when it
// takes its signal, and one that has met it itself is not.
//
//go:nosplit
//go:norace
//go:nocheckptr
func afterCall(pc uintptr) bool {
	// The page before it may not be there.
	const svc = 0xd4000001
	return pc&4095 >= 4 && *at[uint32](pc - 4) == svc
}
