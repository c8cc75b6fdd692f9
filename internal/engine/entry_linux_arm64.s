#include "textflag.h"

// func entries() (thread, handler, restorer uintptr)
TEXT ·entries(SB),NOSPLIT,$0-24
	MOVD $·threadEntry(SB), R0
	MOVD R0, thread+0(FP)
	MOVD $·sigtramp(SB), R0
	MOVD R0, handler+8(FP)
	MOVD $·sigreturn(SB), R0
	MOVD R0, restorer+16(FP)
	RET

// func threadEntry(arg uintptr)
// The code is the worker's first word. By the internal convention the argument is in R0, with room
// for the callee to spill it at 8(RSP). The clone stub has cleared g.
TEXT ·threadEntry(SB),NOSPLIT,$32-8
	MOVD arg+0(FP), R0
	MOVD 0(R0), R1
	CALL (R1)
	RET

// func deep(f func(uintptr), arg uintptr)
// A function value points to the code's address, and its code gets it in R26.
TEXT ·deep(SB),NOSPLIT,$32-16
	MOVD f+0(FP), R26
	MOVD arg+8(FP), R0
	MOVD (R26), R1
	CALL (R1)
	RET

// The kernel enters here with the signal in R0, siginfo in R1, ucontext in R2 and the return to
// the restorer in R30; all registers come back from the ucontext. For a signal that is not ours the handler from
// before goes on as if the kernel had entered it.
TEXT ·sigtramp(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	SUB  $112, RSP
	MOVD R0, 64(RSP)
	MOVD R1, 72(RSP)
	MOVD R2, 80(RSP)
	MOVD R29, 88(RSP)
	MOVD R30, 96(RSP)
	MOVD R1, R0
	MOVD R2, R1
	MOVD g, R2
	MOVD ·signalCode(SB), R3
	CALL (R3)
	MOVD R0, R9
	MOVD 64(RSP), R0
	MOVD 72(RSP), R1
	MOVD 80(RSP), R2
	MOVD 88(RSP), R29
	MOVD 96(RSP), R30
	ADD  $112, RSP
	CBNZ R9, before
	RET
before:
	JMP (R9)

TEXT ·sigreturn(SB),NOSPLIT|NOFRAME,$0
	MOVD $139, R8
	SVC
	BRK
