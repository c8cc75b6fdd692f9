#include "textflag.h"

// func Here() (sp, pc uintptr)
TEXT ·Here(SB), NOSPLIT, $0-16
	LEAQ sp+0(FP), AX // results start where SP was before the call
	MOVQ -8(AX), BX
	MOVQ AX, sp+0(FP)
	MOVQ BX, pc+8(FP)
	RET

// func Load(addr uintptr) uintptr
TEXT ·Load(SB), NOSPLIT, $0-16
	MOVQ addr+0(FP), AX
	MOVQ (AX), AX
	MOVQ AX, ret+8(FP)
	RET
