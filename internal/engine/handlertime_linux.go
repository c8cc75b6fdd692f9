//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// handlerSample is of how many signal handlers one is measured, and stands for all of them: the clock of a thread's processor time is a
// system call, and a handler that is measured makes two to four of them.
const handlerSample = 16

// beginHandling reads the clock of the calling thread's processor time at the start of a signal handler, or returns 0 for a handler
// that is not measured. The time that passes is no measure: a thread that is preempted in its handler, or waits for storage, uses
// no processor.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) beginHandling() int64 {
	if raw.Add32(&s.handled, 1)%handlerSample != handlerSample/2 {
		return 0
	}
	return processorTime()
}

// endHandling adds the time of a handler that is measured.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) endHandling(began int64) {
	if began == 0 {
		return
	}
	if took := processorTime() - began; took > 0 {
		raw.Add64(&s.handlerNS, uint64(took)*handlerSample)
	}
}

// pauseClock and resumeClock leave out of a handler's time what the program would have paid without the profiler, too: the kernel's
// own page fault, with the reading of the page.
//
//go:nosplit
//go:norace
//go:nocheckptr
func pauseClock(began int64) int64 {
	if began == 0 {
		return 0
	}
	return processorTime()
}

//go:nosplit
//go:norace
//go:nocheckptr
func resumeClock(began, paused int64) int64 {
	if began == 0 {
		return 0
	}
	return began + processorTime() - paused
}

// processorTime is that of the calling thread, in nanoseconds and above 0. Where a seccomp filter refuses that clock it is the time that
// passes: what is measured with it is then too much, and never too little.
//
//go:nosplit
//go:norace
//go:nocheckptr
func processorTime() int64 {
	var ts [2]int64
	if raw.Errno(raw.Syscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_THREAD_CPUTIME_ID, uintptr(unsafe.Pointer(&ts)), 0, 0, 0, 0)) != 0 {
		return raw.Nanotime()
	}
	return ts[0]*1e9 + ts[1] + 1
}
