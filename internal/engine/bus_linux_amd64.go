package engine

import (
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// Offsets into struct ucontext: the page fault's error code in struct sigcontext, and uc_sigmask behind that
// (arch/x86/include/uapi/asm/sigcontext.h).
const (
	ctxErr   = 40 + 19*8
	ctxTrap  = 40 + 20*8
	ctxMask  = 40 + 256
	trapPage = 14     // X86_TRAP_PF
	errWrite = 1 << 1 // X86_PF_WRITE
	errExec  = 1 << 4 // X86_PF_INSTR
)

// protRead are the rights each of which lets a page be read.
const protRead = unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC

// busAccess returns the flags that a message of the same fault would have had.
//
//go:nosplit
//go:norace
//go:nocheckptr
func busAccess(ctx uintptr) uint64 {
	if *at[uint64](ctx + ctxTrap) != trapPage {
		return 0
	}
	switch code := *at[uint64](ctx + ctxErr); {
	case code&errExec != 0:
		return flagExec
	case code&errWrite != 0:
		return uint64(uffd.PagefaultFlagWrite)
	}
	return 0
}
