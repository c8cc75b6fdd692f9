#include "textflag.h"

// func Syscall(nr, a, b, c, d, e, f uintptr) (r uintptr)
TEXT ·Syscall(SB),NOSPLIT,$0-64
	MOVQ nr+0(FP), AX
	MOVQ a+8(FP), DI
	MOVQ b+16(FP), SI
	MOVQ c+24(FP), DX
	MOVQ d+32(FP), R10
	MOVQ e+40(FP), R8
	MOVQ f+48(FP), R9
	SYSCALL
	MOVQ AX, r+56(FP)
	RET

// func clone(flags, stack, tid, tls, fn, arg uintptr) (r uintptr)
TEXT ·clone(SB),NOSPLIT,$0-56
	MOVQ flags+0(FP), DI
	MOVQ stack+8(FP), SI
	MOVQ tid+16(FP), DX
	MOVQ tid+16(FP), R10
	MOVQ tls+24(FP), R8
	MOVQ fn+32(FP), R12
	MOVQ arg+40(FP), R13
	MOVQ $56, AX
	SYSCALL
	TESTQ AX, AX
	JEQ  child
	MOVQ AX, r+48(FP)
	RET
child:
	// On the new stack, without a caller: the frame-pointer chain ends here.
	XORL BP, BP
	SUBQ $64, SP
	ANDQ $~15, SP
	MOVQ R13, 0(SP)
	CALL R12
	MOVQ $0, DI
	MOVQ $60, AX
	SYSCALL
	INT  $3

// func vdsoClock(fn uintptr, clock uintptr, ts *[2]int64)
// The vDSO follows the C convention: an aligned stack, BX, BP, R12-R15 kept by it.
TEXT ·vdsoClock(SB),NOSPLIT,$16-24
	MOVQ fn+0(FP), AX
	MOVQ clock+8(FP), DI
	MOVQ ts+16(FP), SI
	MOVQ SP, R12
	ANDQ $~15, SP
	CALL AX
	MOVQ R12, SP
	RET

// func G() uintptr
TEXT ·G(SB),NOSPLIT,$0-8
	MOVQ (TLS), AX
	MOVQ AX, ret+0(FP)
	RET

// func Text() (lo, hi uintptr)
TEXT ·Text(SB),NOSPLIT,$0-16
	LEAQ runtime·text(SB), AX
	MOVQ AX, lo+0(FP)
	LEAQ runtime·etext(SB), AX
	MOVQ AX, hi+8(FP)
	RET
