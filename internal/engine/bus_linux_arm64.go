package engine

import "github.com/firsttouch/firsttouch/uffd"

// Offsets into struct ucontext, and the record of the exception syndrome among those that follow struct
// sigcontext's registers (arch/arm64/include/uapi/asm/sigcontext.h).
const (
	ctxMask     = 40
	ctxReserved = 176 + 288
	ctxEnd      = ctxReserved + 4096
	esrMagic    = 0x45535201
	esrWrite    = 1 << 6 // WnR
)

// busAccess returns the flags that a message of the same fault would have had.
//
//go:nosplit
//go:norace
//go:nocheckptr
func busAccess(ctx uintptr) uint64 {
	// nosplit: runs in the signal handler.
	for p := ctx + ctxReserved; p < ctx+ctxEnd; {
		magic, size := *at[uint32](p), *at[uint32](p + 4)
		if magic == esrMagic && *at[uint64](p + 8)&esrWrite != 0 {
			return uint64(uffd.PagefaultFlagWrite)
		}
		if magic == 0 || magic == esrMagic || size == 0 {
			break
		}
		p += uintptr(size)
	}
	return 0
}
