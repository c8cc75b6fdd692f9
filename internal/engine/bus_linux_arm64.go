package engine

import (
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// Offsets into struct ucontext, and the record of the exception syndrome among those that follow struct
// sigcontext's registers (arch/arm64/include/uapi/asm/sigcontext.h).
const (
	ctxMask     = 40
	ctxReserved = 176 + 288
	ctxEnd      = ctxReserved + 4096
	esrMagic    = 0x45535201
	esrWrite    = 1 << 6 // WnR, of a data abort
	esrClass    = 26     // where the exception class begins, of 6 bits
	esrExec     = 0x20   // an instruction abort of user mode (arch/arm64/include/asm/esr.h)
)

// protRead are the rights each of which lets a page be read. With EPAN that of execution does not (do_page_fault,
// arch/arm64/mm/fault.c).
const protRead = unix.PROT_READ | unix.PROT_WRITE

// busAccess returns the flags that a message of the same fault would have had.
//
//go:nosplit
//go:norace
//go:nocheckptr
func busAccess(ctx uintptr) uint64 {
	for p := ctx + ctxReserved; p < ctx+ctxEnd; {
		magic, size := *at[uint32](p), *at[uint32](p + 4)
		if magic == esrMagic {
			switch esr := *at[uint64](p + 8); {
			case esr>>esrClass&0x3f == esrExec:
				return flagExec
			case esr&esrWrite != 0:
				return uint64(uffd.PagefaultFlagWrite)
			}
		}
		if magic == 0 || magic == esrMagic || size == 0 {
			break
		}
		p += uintptr(size)
	}
	return 0
}
