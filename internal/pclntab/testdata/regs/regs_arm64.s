#include "textflag.h"

// func Here() (sp, pc uintptr)
TEXT ·Here(SB), NOSPLIT|NOFRAME, $0-16
	MOVD RSP, R0 // a call moves nothing
	MOVD R0, sp+0(FP)
	MOVD LR, pc+8(FP)
	RET

// func Load(addr uintptr) uintptr
TEXT ·Load(SB), NOSPLIT|NOFRAME, $0-16
	MOVD addr+0(FP), R0
	MOVD (R0), R0
	MOVD R0, ret+8(FP)
	RET
