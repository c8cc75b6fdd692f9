package profiler

// failing is what can go wrong in the service where faults of system calls are not served.
const failing = "a system call that is handed profiled memory before its first touch fails with EFAULT: " +
	"write, send and writev from it (an HTTP answer, a file or a pipe ends early), read into it, open with a path in it, " +
	"and futex on a mutex in it, upon which the C library aborts the process"

// copyFirst is how a service lives with it.
const copyFirst = "copy what a system call gets"

// WithFailingSystemCalls lets the profiler run where the kernel has it serve faults of user mode only. There a
// system call that is handed profiled memory before its first touch fails with EFAULT:
//
//   - conn.Write, File.Write, writev, UDP and pipes send less or nothing, so that an HTTP answer or a file
//     ends early;
//   - read(2) into such memory fails, and so does open(2) with a path in it;
//   - futex(2) on a mutex in it fails, upon which the C library aborts the process. LMDB has such a mutex in its file
//     lock.mdb.
//
// Give it where the service copies what it hands to system calls. Without it New answers ErrUserModeOnly there. It
// changes nothing where the kernel serves system calls. WithDelivery(DeliverySignal) implies it.
func WithFailingSystemCalls() Option {
	return optionFunc(func(c *config) error { c.failing = true; return nil })
}

// userModeOnly is ErrUserModeOnly with the ways to full service.
type userModeOnly struct{ ways string }

// Error begins with what would fail, since it is what an agent gives as its reason.
func (e *userModeOnly) Error() string {
	return "system calls of this service would fail, so nothing is profiled: the kernel lets this process serve faults of user mode only, where " +
		failing + ". " + e.ways + ". Or allow it, where the service can " + copyFirst +
		" first: WithFailingSystemCalls, or FIRSTTOUCH_ALLOW_FAILING_SYSTEM_CALLS=true"
}

// Unwrap makes it an ErrNotSupported too.
func (e *userModeOnly) Unwrap() []error { return []error{ErrUserModeOnly, ErrNotSupported} }
