//go:build linux && (amd64 || arm64)

package raw

import "unsafe"

const clockMonotonic = 1 // CLOCK_MONOTONIC, include/uapi/linux/time.h

// vdso is the address of the vDSO's clock_gettime, or 0. Set before the first thread starts.
var vdso uintptr

// Nanotime reads CLOCK_MONOTONIC in nanoseconds. Only for raw threads and signal handlers:
// the vDSO needs more stack than a goroutine may have left.
//
//go:nosplit
//go:norace
//go:nocheckptr
func Nanotime() int64 {
	// nosplit: runs without a g.
	var ts [2]int64
	if vdso != 0 {
		vdsoClock(vdso, clockMonotonic, &ts)
	} else {
		Syscall(sysClockGettime, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0, 0, 0, 0)
	}
	return ts[0]*1e9 + ts[1]
}
