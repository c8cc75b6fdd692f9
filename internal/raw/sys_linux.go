//go:build linux && (amd64 || arm64)

package raw

// Syscall enters the kernel without telling the Go scheduler. r is the kernel's answer:
// the result, or a negated errno, see Errno.
//
//go:noescape
func Syscall(nr, a, b, c, d, e, f uintptr) (r uintptr)

// Errno returns the errno in a kernel's answer, or 0. Errors are -1 to -4095.
//
//go:nosplit
//go:norace
func Errno(r uintptr) uintptr {
	// nosplit: called on threads without a g, where a stack check would read garbage.
	if r > ^uintptr(4095) {
		return -r
	}
	return 0
}

// G returns the current goroutine's g, an identity that is stable while the goroutine lives.
// 0 on a thread that Go does not know.
func G() uintptr

// FramePointer returns the frame pointer of its caller.
func FramePointer() uintptr

// Call4 calls the code of a Go function with four words of arguments and one of results, by Go's internal calling
// convention. From a goroutine, so code needs little stack.
func Call4(code, a, b, c, d uintptr) uintptr

// clone calls clone(2) and runs fn, the ABI0 entry of a function with one word of argument, on
// the new thread and its stack. The thread exits when fn returns. The caller has blocked all
// signals, and the new thread inherits that.
func clone(flags, stack, tid, tls, fn, arg uintptr) (r uintptr)

// vdsoClock calls the clock_gettime of the vDSO, which needs more stack than a goroutine
// guarantees: only for threads and signal stacks that have it.
//
//go:noescape
func vdsoClock(fn uintptr, clock uintptr, ts *[2]int64)
