package calls

import "golang.org/x/sys/unix"

const archGetFS = 0x1003 // ARCH_GET_FS, arch/x86/include/uapi/asm/prctl.h

// own are calls of this architecture alone.
var own = []Call{
	{Name: "arch_prctl", Loses: "a thread is asked by signal at each fault where its goroutine would be known otherwise",
		number: unix.SYS_ARCH_PRCTL, ask: [6]uintptr{archGetFS}},
}
