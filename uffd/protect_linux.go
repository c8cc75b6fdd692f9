package uffd

import "golang.org/x/sys/unix"

// The protections of this file cover the whole range or fail, and the kernel does not say how far it
// came: after an error do all of it again. Pages of several mappings in one range are protected in
// the order of their addresses, so those before the one that was refused stay as the call made them.

// Protect protects the pages of r, which must be registered with ModeWP, against writes
// (UFFDIO_WRITEPROTECT with MODE_WP). Pages that are not there are protected only with
// FeatureWPUnpopulated, or in shared memory and huge pages.
//
// Errors: ErrNotRegistered (a mapping of the range is not registered with ModeWP; what lies before it is done),
// ErrInvalid, ErrAgain, ErrGone, ErrNoMemory, ErrClosed.
//
// Needs Linux 5.7, for shared memory and huge pages 5.19.
func (f *FD) Protect(r Range) error { return f.writeProtect(r, WriteProtectModeWP) }

// Unprotect ends the protection of r against writes and wakes those that wait to write
// (UFFDIO_WRITEPROTECT). A page that is not there loses its protection too.
//
// Errors: those of Protect.
//
// Needs Linux 5.7.
func (f *FD) Unprotect(r Range) error { return f.writeProtect(r, 0) }

func (f *FD) writeProtect(r Range, mode WriteProtectMode) error {
	arg := writeProtectArg{Range: toArg(r), Mode: mode}
	return f.retry("UFFDIO_WRITEPROTECT", r, func() unix.Errno { return f.rawWriteProtect(&arg) })
}

// RWProtect protects the present pages of r, which must be registered with ModeRWP, against reads
// and writes (UFFDIO_RWPROTECT with MODE_RWP). It needs FeatureRWP. With
// FeatureRWPAsync the kernel ends the protection of a page at its first access, and Pagemap.Scan
// finds the pages that had none.
//
// Errors: those of Protect.
//
// Needs a Linux after 7.1.
func (f *FD) RWProtect(r Range) error { return f.rwProtect(r, rwProtectModeRWP) }

// RWUnprotect ends the protection of r against reads and writes and wakes those that wait for an
// access.
//
// Errors: those of Protect.
//
// Needs a Linux after 7.1.
func (f *FD) RWUnprotect(r Range) error { return f.rwProtect(r, 0) }

func (f *FD) rwProtect(r Range, mode rwProtectMode) error {
	arg := rwProtectArg{Range: toArg(r), Mode: mode}
	return f.retry("UFFDIO_RWPROTECT", r, func() unix.Errno { return f.rawRWProtect(&arg) })
}

// retry repeats a call that the kernel could not make just now, where that passes by itself.
func (f *FD) retry(op string, r Range, call func() unix.Errno) error {
	for again := (again{}); ; {
		errno := call()
		if errno == 0 {
			return nil
		}
		if errno != unix.EAGAIN || !again.passes(f) {
			return newError(op, r, 0, errno)
		}
	}
}

// SetMode switches features of a descriptor in use on and off (UFFDIO_SET_MODE).
// The kernels that have it take FeatureRWPAsync only. Switched on, it wakes the threads that wait for
// a protected page. FD.Enabled goes on to say what the handshake enabled.
//
// Needs a Linux after 7.1.
func (f *FD) SetMode(enable, disable Features) error {
	arg := setModeArg{Enable: uint64(enable), Disable: uint64(disable)}
	if errno := f.rawSetMode(&arg); errno != 0 {
		return newError("UFFDIO_SET_MODE", Range{}, 0, errno)
	}
	return nil
}
