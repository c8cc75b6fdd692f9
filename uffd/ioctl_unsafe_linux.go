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
// nothing. Src of RawCopy must be the address of memory that does not move.

// RawCopy is UFFDIO_COPY.
func (f *FD) RawCopy(arg *CopyArg) unix.Errno {
	arg.Copy = 0
	return f.ioctl(IoctlCopy, unsafe.Pointer(arg))
}

// RawZeropage is UFFDIO_ZEROPAGE.
func (f *FD) RawZeropage(arg *ZeropageArg) unix.Errno {
	arg.Zeropage = 0
	return f.ioctl(IoctlZeropage, unsafe.Pointer(arg))
}

// RawMove is UFFDIO_MOVE.
func (f *FD) RawMove(arg *MoveArg) unix.Errno {
	arg.Move = 0
	return f.ioctl(IoctlMove, unsafe.Pointer(arg))
}

// RawContinue is UFFDIO_CONTINUE.
func (f *FD) RawContinue(arg *ContinueArg) unix.Errno {
	arg.Mapped = 0
	return f.ioctl(IoctlContinue, unsafe.Pointer(arg))
}

// RawPoison is UFFDIO_POISON.
func (f *FD) RawPoison(arg *PoisonArg) unix.Errno {
	arg.Updated = 0
	return f.ioctl(IoctlPoison, unsafe.Pointer(arg))
}

// RawWriteProtect is UFFDIO_WRITEPROTECT.
func (f *FD) RawWriteProtect(arg *WriteProtectArg) unix.Errno {
	return f.ioctl(IoctlWriteProtect, unsafe.Pointer(arg))
}

// RawRWProtect is UFFDIO_RWPROTECT.
func (f *FD) RawRWProtect(arg *RWProtectArg) unix.Errno {
	return f.ioctl(IoctlRWProtect, unsafe.Pointer(arg))
}

// RawSetMode is UFFDIO_SET_MODE.
func (f *FD) RawSetMode(arg *SetModeArg) unix.Errno {
	return f.ioctl(IoctlSetMode, unsafe.Pointer(arg))
}

// RawWake is UFFDIO_WAKE.
func (f *FD) RawWake(arg *RangeArg) unix.Errno { return f.ioctl(IoctlWake, unsafe.Pointer(arg)) }

// RawRegister is UFFDIO_REGISTER.
func (f *FD) RawRegister(arg *RegisterArg) unix.Errno {
	arg.Ioctls = 0
	return f.ioctl(IoctlRegister, unsafe.Pointer(arg))
}

// RawUnregister is UFFDIO_UNREGISTER.
func (f *FD) RawUnregister(arg *RangeArg) unix.Errno {
	return f.ioctl(IoctlUnregister, unsafe.Pointer(arg))
}
