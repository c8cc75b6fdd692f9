#include "textflag.h"

// func entries() (thread, handler, restorer uintptr)
TEXT ·entries(SB),NOSPLIT,$0-24
	LEAQ ·threadEntry(SB), AX
	MOVQ AX, thread+0(FP)
	LEAQ ·sigtramp(SB), AX
	MOVQ AX, handler+8(FP)
	LEAQ ·sigreturn(SB), AX
	MOVQ AX, restorer+16(FP)
	RET

// func threadEntry(arg uintptr)
// The code is the worker's first word. By the internal convention the argument is in AX, with room
// for the callee to spill it at 0(SP), X15 is zero and R14 is g, which this thread does not have.
TEXT ·threadEntry(SB),NOSPLIT,$16-8
	MOVQ arg+0(FP), AX
	MOVQ 0(AX), CX
	XORPS X15, X15
	XORL R14, R14
	CALL CX
	RET

// func deep(f func(uintptr), arg uintptr)
// A function value points to the code's address, and its code gets it in DX.
TEXT ·deep(SB),NOSPLIT,$16-16
	MOVQ f+0(FP), DX
	MOVQ arg+8(FP), AX
	XORPS X15, X15
	MOVQ (TLS), R14
	MOVQ 0(DX), CX
	CALL CX
	RET

// The kernel enters here with the signal in DI, siginfo in SI and ucontext in DX; all registers
// come back from the ucontext, so only the stack has to be right on return. For a signal that is not ours the handler
// from before goes on as if the kernel had entered it.
TEXT ·sigtramp(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	PUSHQ BP
	MOVQ SP, BP
	PUSHQ DI
	PUSHQ SI
	PUSHQ DX
	SUBQ $64, SP
	ANDQ $~15, SP
	MOVQ SI, AX
	MOVQ DX, BX
	MOVQ (TLS), CX
	MOVQ CX, R14
	XORPS X15, X15
	MOVQ ·signalCode(SB), DX
	CALL DX
	LEAQ -24(BP), SP
	POPQ DX
	POPQ SI
	POPQ DI
	POPQ BP
	TESTQ AX, AX
	JNE  before
	RET
before:
	JMP AX

TEXT ·sigreturn(SB),NOSPLIT|NOFRAME,$0
	MOVQ $15, AX
	SYSCALL
	INT $3
