package perfevents

// registersMask asks for RSP and R14, in which Go's code keeps its g (arch/x86/include/uapi/asm/perf_regs.h; abi-internal.md of Go).
const (
	registersMask = 1<<7 | 1<<22
	registersLen  = 2
)

func registers(r *rawRecord) (sp, g, back uintptr) {
	return uintptr(r.regs[0]), uintptr(r.regs[1]), uintptr(r.word)
}
