package uffd

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// newDescriptor asks for a descriptor on one path, always close-on-exec. The device is opened for
// reading only: that is all USERFAULTFD_IOC_NEW needs, so a mode of 0444 will do.
func newDescriptor(path OpenPath, nonblock bool) (int, unix.Errno) {
	flags := uintptr(unix.O_CLOEXEC)
	if nonblock {
		flags |= unix.O_NONBLOCK
	}
	if path == PathDevice {
		dev, err := unix.Open(DevicePath, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, err.(unix.Errno)
		}
		defer unix.Close(dev)
		fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(dev), uintptr(IoctlNew), flags)
		return int(fd), errno
	}
	if path == PathUserModeOnly {
		flags |= userModeOnly
	}
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, flags, 0, 0)
	return int(fd), errno
}

// handshake enables features on a fresh descriptor. A descriptor takes one successful handshake;
// a refused one may be repeated, with the struct filled anew, since the kernel zeroes it.
func handshake(fd int, features Features) (apiArg, unix.Errno) {
	arg := apiArg{API: apiVersion, Features: uint64(features)}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(IoctlAPI), uintptr(unsafe.Pointer(&arg)))
	return arg, errno
}

// offered asks the kernel what it can do, with a descriptor that is used for nothing else: the
// answer comes only from a handshake, and a descriptor takes no second one.
func offered(path OpenPath) (apiArg, unix.Errno) {
	fd, errno := newDescriptor(path, false)
	if errno != 0 {
		return apiArg{}, errno
	}
	defer unix.Close(fd)
	return handshake(fd, 0)
}
