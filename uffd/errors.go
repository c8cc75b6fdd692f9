package uffd

import (
	"errors"
	"fmt"
	"os"
)

// Errors that callers may test for with errors.Is. Each stands for what the kernel means by an
// errno in the context of these ioctls; the errno itself matches too.
var (
	// ErrNotSupported: this system, kernel, user or container does not allow it. The message says
	// what to change.
	ErrNotSupported = errors.New("not supported here")
	// ErrInvalid (EINVAL): a range that is empty, not aligned or outside the address space, a mode
	// or kind of memory that does not go with the call, or a descriptor without its handshake.
	ErrInvalid = errors.New("invalid range, mode or kind of memory")
	// ErrExist (EEXIST): the page is already there, and nobody was woken. Of huge pages perhaps: the
	// pool is empty, and the page is not there.
	ErrExist = errors.New("page already present: wake its waiters")
	// ErrNotRegistered (ENOENT): the range is not mapped, spans mappings or is not registered; for
	// Move, also a page that the source does not have.
	ErrNotRegistered = errors.New("range not mapped or not registered")
	// ErrAgain (EAGAIN with nothing done): the memory is being changed (by fork, mremap, madvise or
	// munmap), and the thread that changes it waits for the reader of its event. Reading the event is
	// not the end of it: the kernel goes on to say EAGAIN until that thread has run. So handle what can
	// be read (TryRead), then try again; a Read that waits in between may wait for ever. FD.Wait tells
	// without reading that there is something. A descriptor without an event feature repeats the
	// call by itself.
	ErrAgain = errors.New("the memory is being changed: handle the events, then try again")
	// ErrBusy (EBUSY): at Register, another descriptor owns the range; at Move, a page of the source
	// is pinned or shared.
	ErrBusy = errors.New("range in use")
	// ErrPermission (EPERM): at Register, the mapping may never become writable; at Open, EVENT_FORK
	// without CAP_SYS_PTRACE.
	ErrPermission = errors.New("not permitted")
	// ErrFault (EFAULT): memory that the kernel had to read is not readable, or the page is beyond
	// the end of its file.
	ErrFault = errors.New("source not readable or beyond the end of the file")
	// ErrNoMemory (ENOMEM): no memory, or the tmpfs or the pool of huge pages is full; at Register and Unregister too
	// many mappings to split one (vm.max_map_count), or the process whose memory it was has ended.
	ErrNoMemory = errors.New("out of memory or of mappings")
	// ErrGone (ESRCH, in Linux 4.11 and 4.12 ENOSPC): the process whose memory it was has ended.
	ErrGone = errors.New("the process is gone")
	// ErrClosed is os.ErrClosed: the FD, or the socket of Send or Receive, was closed, possibly while the call was
	// waiting.
	ErrClosed = os.ErrClosed
)

// Error is the refusal of one call by the kernel. It matches both its sentinel and its errno:
// errors.Is(err, uffd.ErrExist) and errors.Is(err, unix.EEXIST).
type Error struct {
	Op    string // the kernel's name of the call, such as UFFDIO_COPY; for Register also the modes
	Range Range  // what it was asked for; zero where the call has no range
	Done  uint64 // bytes from Range.Start on that the call finished before it failed
	Kind  error  // one of this package's sentinels; nil where the errno has no special meaning
	Errno error  // the errno
}

// Error names the call, the range, what was done and why no more.
func (e *Error) Error() string {
	text := e.Op
	if e.Range != (Range{}) {
		text += " " + e.Range.String()
	}
	if e.Done > 0 {
		text += fmt.Sprintf(" after %d bytes", e.Done)
	}
	if e.Kind != nil {
		return fmt.Sprintf("%s: %v (%v)", text, e.Kind, e.Errno)
	}
	return fmt.Sprintf("%s: %v", text, e.Errno)
}

// Unwrap makes the sentinel and the errno visible to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	if e.Kind == nil {
		return []error{e.Errno}
	}
	return []error{e.Kind, e.Errno}
}
