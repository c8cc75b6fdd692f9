package uffd

import "golang.org/x/sys/unix"

// kinds gives each errno the meaning that userfaultfd's ioctls give it.
var kinds = map[unix.Errno]error{
	unix.EINVAL: ErrInvalid,
	unix.EEXIST: ErrExist,
	unix.ENOENT: ErrNotRegistered,
	unix.EAGAIN: ErrAgain,
	unix.EBUSY:  ErrBusy,
	unix.EPERM:  ErrPermission,
	unix.EFAULT: ErrFault,
	unix.ENOMEM: ErrNoMemory,
	unix.ENOSPC: ErrGone, // userfaultfd_copy and userfaultfd_zeropage of 4.11 and 4.12; nothing else answers it
	unix.ESRCH:  ErrGone,
	unix.ENOTTY: ErrNotSupported,
}

// errClosed stands for ErrClosed where calls answer with an errno: the kernel's own answer to a
// descriptor that was closed.
const errClosed = unix.EBADF

// newError wraps a refusal; done bytes of r were finished before it.
func newError(op string, r Range, done int64, errno unix.Errno) error {
	if errno == errClosed {
		return ErrClosed
	}
	return &Error{Op: op, Range: r, Done: uint64(max(done, 0)), Kind: kinds[errno], Errno: errno}
}

// NewError is the error of a call that somebody else made on the number of an FD, see FD.Fd.
func NewError(op string, r Range, errno unix.Errno) error { return newError(op, r, 0, errno) }
