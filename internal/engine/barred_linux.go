//go:build linux && (amd64 || arm64)

package engine

import (
	"fmt"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/calls"
	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// A service may lock itself in after the engine has started: a seccomp filter that it installs then binds the
// engine's threads too (SECCOMP_FILTER_FLAG_TSYNC), while memory is armed. What the filter answers is no answer
// of the kernel's, and trying again changes nothing.

// Calls without which armed memory can only be given back.
const (
	callContinue = iota
	callCopy     // as a probe, see registered
	callWriteProtect
	callRemap
	callScan
	callSignal // asks a thread to stop
	callThreads
	callMaps
	callSeek
	callPagemap
	callProtect
	callDiscard
	callGuard
	callNumber
)

// callNames are what errors and notes call them.
var callNames = [callNumber]string{"UFFDIO_CONTINUE", "UFFDIO_COPY", "UFFDIO_WRITEPROTECT", "mremap", "PAGEMAP_SCAN", "rt_tgsigqueueinfo", "getdents64 of /proc/self/task",
	"reading /proc/self/maps", "lseek in /proc", "pread64 of /proc/self/pagemap", "mprotect", "madvise(MADV_DONTNEED)",
	"madvise(MADV_GUARD_REMOVE)"}

// denied reports whether an errno means that a call may not be made at all, rather than not now or not of
// this memory: what seccomp filters and security modules answer.
//
//go:nosplit
//go:norace
//go:nocheckptr
func denied(errno uintptr) bool {
	switch unix.Errno(errno) {
	case unix.EPERM, unix.EACCES, unix.ENOSYS, unix.ENOTTY, unix.EOPNOTSUPP:
		return true
	}
	return false
}

// bar notes that a call was refused.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) bar(call, errno uintptr) {
	// By address: see query.
	raw.Store64(at[uint64](uintptr(unsafe.Pointer(&s.barred))+call*8), uint64(errno))
}

// refuse counts that a call was refused with which a page that somebody waits for is made accessible.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) refuse(t *target, errno uintptr) {
	raw.Add64(&s.errors, 1)
	raw.Add64(&s.refused, 1)
	raw.Add64(&at[counters](t.counters).errors, 1)
	raw.Store64(&s.lastErr, uint64(errno))
}

// barredBy is the errno that a call was refused with, or 0.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) barredBy(call uintptr) uintptr {
	return uintptr(raw.Load64(at[uint64](uintptr(unsafe.Pointer(&s.barred)) + call*8)))
}

// advise is madvise(2), with an error that names it.
func advise(addr, length uintptr, advice int, name string) error {
	_, _, n := unix.Syscall(unix.SYS_MADVISE, addr, length, uintptr(advice))
	switch {
	case n == 0:
		return nil
	case denied(uintptr(n)):
		return fmt.Errorf("%w: madvise(%s) is refused: %w: %s", uffd.ErrNotSupported, name, n, calls.Remedy)
	}
	return fmt.Errorf("madvise(%s): %w", name, n)
}

// refusedError is the error of an operation for which a call was refused.
func refusedError(what string, call uintptr, errno unix.Errno) error {
	if !denied(uintptr(errno)) {
		return fmt.Errorf("%s: %s: %w", what, callNames[call], errno)
	}
	return fmt.Errorf("%s: %w: %s is refused: %w: %s", what, uffd.ErrNotSupported, callNames[call], errno, calls.Remedy)
}

// unsent says why our signal could not be sent to a thread.
func unsent(errno unix.Errno) error {
	if errno == unix.EAGAIN {
		return fmt.Errorf("rt_tgsigqueueinfo: %w: as many signals are queued for this user as its limit allows (RLIMIT_SIGPENDING): raise it (ulimit -i, LimitSIGPENDING= of systemd)", errno)
	}
	return fmt.Errorf("rt_tgsigqueueinfo is refused: %w: %s", errno, calls.Remedy)
}

// Barred is a call that was refused while the engine ran.
type Barred struct {
	Call  string
	Errno unix.Errno
}

// Barred lists the calls that were refused.
func (e *Engine) Barred() (out []Barred) {
	for i, name := range callNames {
		if n := e.s.barredBy(uintptr(i)); n != 0 {
			out = append(out, Barred{name, unix.Errno(n)})
		}
	}
	return out
}

// mayContinue asks for UFFDIO_CONTINUE before memory is armed that nothing else makes accessible again. Anonymous
// memory is a wrong argument to it.
func (e *Engine) mayContinue() error {
	args := [4]uint64{uint64(at[worker](e.workers[0]).scratch), uint64(e.s.pageSize), uint64(uffd.ContinueModeDontwake)}
	if errno := (descriptor{e, e.s.layersFD}).ioctl(uffd.IoctlContinue, args[:]); denied(uintptr(errno)) {
		e.s.bar(callContinue, uintptr(errno))
		return fmt.Errorf("%w: shared memory is made accessible with UFFDIO_CONTINUE, which is refused: %w: allow it in the process's seccomp filter",
			uffd.ErrNotSupported, errno)
	}
	return nil
}
