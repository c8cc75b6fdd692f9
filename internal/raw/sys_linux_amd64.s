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
	// Refused. It stays here, asleep: FUTEX_WAIT, private, for ever.
	NEGL AX
	MOVL AX, ·exitRefused(SB)
stay:
	LEAQ ·exitRefused(SB), DI
	MOVQ $128, SI
	MOVL ·exitRefused(SB), DX
	XORL R10, R10
	MOVQ $202, AX
	SYSCALL
	JMP  stay

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

// func FramePointer() uintptr
// A function of assembly without a frame leaves its caller's frame pointer.
TEXT ·FramePointer(SB),NOSPLIT,$0-8
	MOVQ BP, ret+0(FP)
	RET

// func Call4(code, a, b, c, d uintptr) uintptr
TEXT ·Call4(SB),NOSPLIT,$32-48
	MOVQ code+0(FP), DX
	MOVQ a+8(FP), AX
	MOVQ b+16(FP), BX
	MOVQ c+24(FP), CX
	MOVQ d+32(FP), DI
	XORPS X15, X15
	MOVQ (TLS), R14
	CALL DX
	MOVQ AX, ret+40(FP)
	RET
