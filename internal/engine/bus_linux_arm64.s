#include "go_asm.h"
#include "textflag.h"

// func busEntry() uintptr
TEXT ·busEntry(SB),NOSPLIT,$0-8
	MOVD $·bustramp(SB), R0
	MOVD R0, ret+0(FP)
	RET

// The room for a worker, rounded up to what RSP is a multiple of.
#define ROOM ((worker__size + 15) & ~15)

// The kernel enters here for SIGBUS and SIGSEGV, with the signal in R0, siginfo in R1, ucontext in R2 and the return
// to the restorer in R30. Most of them are not ours, which busMine tells with little of the stack: C code may have a
// small one for SIGSEGV. onBus gets a worker on this stack. For a signal that is not ours the handler from
// before goes on as if the kernel had entered it.
TEXT ·bustramp(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVD RSP, R9 // not at once: the linker would take it from a goroutine's stack
	SUB  $112, R9
	MOVD R9, RSP
	MOVD R0, 64(RSP)
	MOVD R1, 72(RSP)
	MOVD R2, 80(RSP)
	MOVD R29, 88(RSP)
	MOVD R30, 96(RSP)
	MOVD R1, R0
	MOVD R2, R1
	MOVD ·mineCode(SB), R4
	CALL (R4)
	CBZ  R0, before
	MOVD 72(RSP), R0
	MOVD 80(RSP), R1
	MOVD g, R2
	MOVD RSP, R9
	SUB  $ROOM, R9
	MOVD R9, R3
	SUB  $64, R9
	MOVD R9, RSP
	MOVD ·busCode(SB), R4
	CALL (R4)
	MOVD RSP, R9
	ADD  $(ROOM + 64), R9
	MOVD R9, RSP
	CBZ  R0, before
	MOVD 64(RSP), R0
	MOVD 72(RSP), R1
	MOVD 80(RSP), R2
	MOVD 88(RSP), R29
	MOVD 96(RSP), R30
	MOVD RSP, R9
	ADD  $112, R9
	MOVD R9, RSP
	RET
before:
	MOVD 64(RSP), R0
	MOVD 72(RSP), R1
	MOVD 80(RSP), R2
	MOVD 88(RSP), R29
	MOVD 96(RSP), R30
	MOVD RSP, R9
	ADD  $112, R9
	MOVD R9, RSP
	MOVD $·busBefore(SB), R10
	MOVWU R0, R9
	MOVD (R10)(R9<<3), R9
	JMP  (R9)
