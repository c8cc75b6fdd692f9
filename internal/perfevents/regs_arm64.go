package perfevents

// registersMask asks for X28, in which Go's code keeps its g, LR and SP (arch/arm64/include/uapi/asm/perf_regs.h; abi-internal.md of Go).
const (
	registersMask = 1<<28 | 1<<30 | 1<<31
	registersLen  = 3
)

func registers(r *rawRecord) (sp, g, back uintptr) {
	return uintptr(r.regs[2]), uintptr(r.regs[0]), uintptr(r.regs[1])
}
