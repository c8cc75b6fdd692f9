#include "textflag.h"

// func Syscall(nr, a, b, c, d, e, f uintptr) (r uintptr)
TEXT ·Syscall(SB),NOSPLIT,$0-64
	MOVD nr+0(FP), R8
	MOVD a+8(FP), R0
	MOVD b+16(FP), R1
	MOVD c+24(FP), R2
	MOVD d+32(FP), R3
	MOVD e+40(FP), R4
	MOVD f+48(FP), R5
	SVC
	MOVD R0, r+56(FP)
	RET

// func clone(flags, stack, tid, tls, fn, arg uintptr) (r uintptr)
// arm64 takes tls before the child's tid pointer.
TEXT ·clone(SB),NOSPLIT,$0-56
	MOVD flags+0(FP), R0
	MOVD stack+8(FP), R1
	MOVD tid+16(FP), R2
	MOVD tls+24(FP), R3
	MOVD tid+16(FP), R4
	MOVD fn+32(FP), R10
	MOVD arg+40(FP), R11
	MOVD $220, R8
	SVC
	CBZ  R0, child
	MOVD R0, r+48(FP)
	RET
child:
	// On the new stack, without a caller and without a g.
	MOVD ZR, R29
	MOVD ZR, g
	SUB  $64, RSP
	MOVD R11, 8(RSP)
	CALL (R10)
	MOVD $0, R0
	MOVD $93, R8
	SVC
	// Refused. It stays here, asleep: FUTEX_WAIT, private, for ever.
	NEG  R0, R0
	MOVD $·exitRefused(SB), R9
	MOVW R0, (R9)
stay:
	MOVD  $·exitRefused(SB), R0
	MOVD  $128, R1
	MOVWU (R0), R2
	MOVD  ZR, R3
	MOVD  $98, R8
	SVC
	B     stay

// func vdsoClock(fn uintptr, clock uintptr, ts *[2]int64)
// The C convention keeps R19-R29; RSP is always aligned.
TEXT ·vdsoClock(SB),NOSPLIT,$16-24
	MOVD fn+0(FP), R10
	MOVD clock+8(FP), R0
	MOVD ts+16(FP), R1
	CALL (R10)
	RET

// func G() uintptr
TEXT ·G(SB),NOSPLIT,$0-8
	MOVD g, R0
	MOVD R0, ret+0(FP)
	RET

// func FramePointer() uintptr
// A function of assembly without a frame leaves its caller's frame pointer.
TEXT ·FramePointer(SB),NOSPLIT,$0-8
	MOVD R29, ret+0(FP)
	RET

// func Call4(code, a, b, c, d uintptr) uintptr
TEXT ·Call4(SB),NOSPLIT,$48-48
	MOVD code+0(FP), R4
	MOVD a+8(FP), R0
	MOVD b+16(FP), R1
	MOVD c+24(FP), R2
	MOVD d+32(FP), R3
	CALL (R4)
	MOVD R0, ret+40(FP)
	RET
