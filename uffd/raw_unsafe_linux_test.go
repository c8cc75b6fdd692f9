package uffd

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawAPI is UFFDIO_API on a descriptor that no FD owns yet.
func rawAPI(raw int, arg *apiArg) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(raw), uintptr(IoctlAPI), uintptr(unsafe.Pointer(arg)))
	return errno
}

// rawIoctl passes any number as the argument's address.
func rawIoctl(raw int, request Ioctl, address uintptr) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(raw), uintptr(request), address)
	return errno
}

// fillRegisterArg writes the argument of UFFDIO_REGISTER into memory.
func fillRegisterArg(mem []byte, r Range) {
	*(*registerArg)(unsafe.Pointer(&mem[0])) = registerArg{Range: toArg(r), Mode: ModeMissing}
}

// addressOf is where mem begins.
func addressOf(mem []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(mem)) }
