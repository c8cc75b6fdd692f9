package uffd

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Adopt takes over a descriptor that another program made and shook hands with, for example one
// that a virtual machine monitor sent over a Unix socket: it serves that program's memory. What is
// enabled on it is read from /proc/self/fdinfo; where that cannot be read, it is what WithFeatures
// says. A feature of WithFeatures that is not enabled is a FeatureError. The other options do not
// matter, and the descriptor's O_NONBLOCK stays as it is until the first Read. The FD owns the
// descriptor, and makes it close-on-exec. A descriptor that Adopt refuses stays open: one that is no
// userfaultfd, or had no handshake, is ErrInvalid.
//
// Needs Linux 4.3.
func Adopt(fd int, opts ...Option) (*FD, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	f := &FD{raw: fd, path: PathAdopted}
	// An empty range is a wrong argument to every userfaultfd, and a wrong request to anything else.
	if errno := f.rawWake(&rangeArg{}); errno != unix.EINVAL {
		return nil, fmt.Errorf("%w: descriptor %d is not a userfaultfd: %w", ErrInvalid, fd, errno)
	}
	f.features = c.required
	if info, err := readInfo(fd); err == nil {
		if !info.shaken {
			return nil, fmt.Errorf("%w: descriptor %d had no handshake (UFFDIO_API)", ErrInvalid, fd)
		}
		if missing := c.required &^ info.enabled; missing != 0 {
			return nil, &FeatureError{Missing: missing, Offered: info.enabled}
		}
		f.features, f.known = info.enabled, true
	}
	f.enabled = f.features
	unix.CloseOnExec(fd)
	return f, nil
}
