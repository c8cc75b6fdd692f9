//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"strings"

	"github.com/firsttouch/firsttouch/uffd"
)

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
