#include "go_asm.h"
#include "textflag.h"

// func busEntry() uintptr
TEXT ·busEntry(SB),NOSPLIT,$0-8
	LEAQ ·bustramp(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// The kernel enters here for SIGBUS and SIGSEGV, with the signal in DI, siginfo in SI and ucontext in DX. Most of them
// are not ours, which busMine tells with little of the stack: C code may have a small one for SIGSEGV. onBus gets a
// worker on this stack. For a signal that is not ours the handler from before goes on as if the kernel
// had entered it: the same arguments, stack pointer and return address.
TEXT ·bustramp(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	PUSHQ BP
	MOVQ SP, BP
	PUSHQ DI
	PUSHQ SI
	PUSHQ DX
	LEAQ -64(SP), SP
	ANDQ $~15, SP
	MOVQ SI, AX
	MOVQ DX, BX
	MOVQ (TLS), R14
	XORPS X15, X15
	MOVQ ·mineCode(SB), DX
	CALL DX
	TESTQ AX, AX
	JEQ  before
	LEAQ -24(BP), SP
	LEAQ -(worker__size + 64)(SP), SP // not SUBQ: the linker would take it from a goroutine's stack
	ANDQ $~15, SP
	MOVQ -16(BP), AX
	MOVQ -24(BP), BX
	MOVQ (TLS), CX
	LEAQ 64(SP), DI
	MOVQ CX, R14
	XORPS X15, X15
	MOVQ ·busCode(SB), DX
	CALL DX
	TESTQ AX, AX
	JEQ  before
	LEAQ -24(BP), SP
	POPQ DX
	POPQ SI
	POPQ DI
	POPQ BP
	RET
before:
	LEAQ -24(BP), SP
	POPQ DX
	POPQ SI
	POPQ DI
	POPQ BP
	LEAQ ·busBefore(SB), AX
	MOVL DI, CX
	MOVQ (AX)(CX*8), AX
	JMP  AX
