package uffd

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctl issues one request. The argument may lie on the caller's stack, which cannot move during
// the system call because the pointer becomes an integer only in the call itself.
func (f *FD) ioctl(request Ioctl, arg unsafe.Pointer) unix.Errno {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return errClosed
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(f.raw), uintptr(request), uintptr(arg))
	return errno
}

// The raw calls make exactly one ioctl and say exactly what the kernel said: the errno (0 for
// success, EBADF after Close) and the output field of the argument. The output field is set to 0
// before, since older kernels leave it alone when they answer EAGAIN at once. They allocate
// nothing. Src of rawCopy must be the address of memory that does not move.

// rawCopy is UFFDIO_COPY.
func (f *FD) rawCopy(arg *copyArg) unix.Errno {
	arg.Copy = 0
	return f.ioctl(IoctlCopy, unsafe.Pointer(arg))
}

// rawZeropage is UFFDIO_ZEROPAGE.
func (f *FD) rawZeropage(arg *zeropageArg) unix.Errno {
	arg.Zeropage = 0
	return f.ioctl(IoctlZeropage, unsafe.Pointer(arg))
}

// rawMove is UFFDIO_MOVE.
func (f *FD) rawMove(arg *moveArg) unix.Errno {
	arg.Move = 0
	return f.ioctl(IoctlMove, unsafe.Pointer(arg))
}

// rawContinue is UFFDIO_CONTINUE.
func (f *FD) rawContinue(arg *continueArg) unix.Errno {
	arg.Mapped = 0
	return f.ioctl(IoctlContinue, unsafe.Pointer(arg))
}

// rawPoison is UFFDIO_POISON.
func (f *FD) rawPoison(arg *poisonArg) unix.Errno {
	arg.Updated = 0
	return f.ioctl(IoctlPoison, unsafe.Pointer(arg))
}

// rawWriteProtect is UFFDIO_WRITEPROTECT.
func (f *FD) rawWriteProtect(arg *writeProtectArg) unix.Errno {
	return f.ioctl(IoctlWriteProtect, unsafe.Pointer(arg))
}

// rawRWProtect is UFFDIO_RWPROTECT.
func (f *FD) rawRWProtect(arg *rwProtectArg) unix.Errno {
	return f.ioctl(IoctlRWProtect, unsafe.Pointer(arg))
}

// rawSetMode is UFFDIO_SET_MODE.
func (f *FD) rawSetMode(arg *setModeArg) unix.Errno {
	return f.ioctl(IoctlSetMode, unsafe.Pointer(arg))
}

// rawWake is UFFDIO_WAKE.
func (f *FD) rawWake(arg *rangeArg) unix.Errno { return f.ioctl(IoctlWake, unsafe.Pointer(arg)) }

// rawRegister is UFFDIO_REGISTER.
func (f *FD) rawRegister(arg *registerArg) unix.Errno {
	arg.Ioctls = 0
	return f.ioctl(IoctlRegister, unsafe.Pointer(arg))
}

// rawUnregister is UFFDIO_UNREGISTER.
func (f *FD) rawUnregister(arg *rangeArg) unix.Errno {
	return f.ioctl(IoctlUnregister, unsafe.Pointer(arg))
}
