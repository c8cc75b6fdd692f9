//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"strings"

	"github.com/firsttouch/firsttouch/uffd"
)

// failing is what can go wrong in the service where faults of system calls are not served.
const failing = "a system call that is handed profiled memory before its first touch fails with EFAULT: " +
	"write, send and writev from it (an HTTP answer, a file or a pipe ends early), read into it, open with a path in it, " +
	"and futex on a mutex in it, upon which the C library aborts the process"

// copyFirst is how a service lives with it.
const copyFirst = "copy what a system call gets"

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

// waysToFullService says which ways to a userfaultfd that serves system calls are closed, and how to open them.
func waysToFullService() string {
	var ways []string
	for _, path := range []uffd.OpenPath{uffd.PathDevice, uffd.PathSyscall} {
		if refused, ok := errors.AsType[*uffd.OpenError](uffd.HavePath(path)); ok {
			r := refused.Refusals[0]
			ways = append(ways, fmt.Sprintf("the %v (now %v): %s", path, r.Err, r.Remedy))
		}
	}
	return "To have system calls served too, open one way: " + strings.Join(ways, "; or ") +
		"; in a container its seccomp profile has to allow userfaultfd as well, or the device be passed"
}

// failingNote says what can fail in this service because of the profiler; it is empty where nothing can.
func (p *Profiler) failingNote() string {
	if !p.eng.UserModeOnly() {
		return ""
	}
	const allowed = "system calls of this service can fail, which "
	if p.config.delivery == DeliverySignal {
		return allowed + "delivery by signal implies: " + failing + ". So " + copyFirst +
			", or use delivery by thread, which serves system calls where the kernel lets it"
	}
	return allowed + "WithFailingSystemCalls or FIRSTTOUCH_ALLOW_FAILING_SYSTEM_CALLS=true allows: " + failing + ". So " + copyFirst + ". " + waysToFullService()
}
