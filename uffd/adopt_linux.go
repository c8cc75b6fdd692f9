package uffd

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Adopt takes over a descriptor that another program made and shook hands with, for example one
// that a virtual machine monitor sent over a Unix socket: it serves that program's memory.
// WithFeatures says what is enabled on it, WithPageSize what its pages are; the other options do
// not matter, and the descriptor's O_NONBLOCK stays as it is until the first Read. The FD owns the
// descriptor, and makes it close-on-exec. What is no userfaultfd is ErrInvalid, and stays open.
func Adopt(fd int, opts ...Option) (*FD, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	f := &FD{raw: fd, path: PathAdopted, pageSize: uintptr(c.pageSize), features: c.required, enabled: c.required}
	// An empty range is a wrong argument to every userfaultfd, and a wrong request to anything else.
	if errno := f.RawWake(&RangeArg{}); errno != unix.EINVAL {
		return nil, fmt.Errorf("%w: descriptor %d is not a userfaultfd: %w", ErrInvalid, fd, errno)
	}
	unix.CloseOnExec(fd)
	return f, nil
}
