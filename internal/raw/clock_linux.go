//go:build linux && (amd64 || arm64)

package raw

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

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
	var ts [2]int64
	if vdso != 0 {
		vdsoClock(vdso, clockMonotonic, &ts)
	} else {
		Syscall(sysClockGettime, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0, 0, 0, 0)
	}
	return ts[0]*1e9 + ts[1]
}

// Clock says why Nanotime cannot tell the time here, if so: there is no vDSO, and clock_gettime(2) is refused.
func Clock() error {
	var ts [2]int64
	if vdso != 0 {
		return nil
	}
	if e := Errno(Syscall(sysClockGettime, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0, 0, 0, 0)); e != 0 {
		return fmt.Errorf("there is no vDSO to read the clock in, and clock_gettime(2) is refused (%w): allow it in the process's seccomp filter", unix.Errno(e))
	}
	return nil
}

// Monotonic is Nanotime for goroutines: the runtime reads the clock on a stack that is large enough for the vDSO.
// It makes no system call where Go makes none.
//
//go:linkname Monotonic runtime.nanotime
func Monotonic() int64
