package uffd

// Register makes the faults of r in these modes messages of f, and returns the ioctls that may be
// used on it (UFFDIO_REGISTER). Registered again, a range has the modes of the later call, unless it has all of them
// already: to add a mode give all. Linux 7.3 answers ErrBusy to a call that leaves out a mode: Unregister first.
//
// Errors: ErrInvalid (the range, the mode, or memory that userfaultfd does not take, such as a file on disk or System
// V memory), ErrBusy (another descriptor has it), ErrPermission (a shared mapping of a file that was opened for reading
// only), ErrNoMemory (too many mappings, or the process has ended), ErrClosed.
//
// Needs Linux 4.3; ModeWP 5.7, ModeMinor 5.13.
func (f *FD) Register(r Range, mode RegisterMode) (IoctlSet, error) {
	arg := registerArg{Range: toArg(r), Mode: mode}
	if errno := f.rawRegister(&arg); errno != 0 {
		return 0, newError("UFFDIO_REGISTER "+mode.String(), r, 0, errno)
	}
	return IoctlSet(arg.Ioctls), nil
}

// Unregister gives r back to the kernel and wakes its waiters (UFFDIO_UNREGISTER): pages that were not filled read as
// zeros, or as the file has them, and protections end. Parts of r that are not registered, or not mapped, are no error.
//
// Errors: ErrInvalid (the range, nothing mapped in all of it, memory that no userfaultfd takes; on newer kernels,
// another descriptor's), ErrNoMemory as of Register, ErrClosed.
//
// Needs Linux 4.3.
func (f *FD) Unregister(r Range) error {
	arg := toArg(r)
	if errno := f.rawUnregister(&arg); errno != 0 {
		return newError("UFFDIO_UNREGISTER", r, 0, errno)
	}
	// The kernel wakes only those who wait for a missing page: who waits to write, or for a page of the file, would wait
	// for ever.
	return f.Wake(r)
}

// Wake wakes the threads that wait for a page of r, whose accesses are then repeated. Fills do it
// themselves unless told not to: use one Wake after several fills with Dontwake (UFFDIO_WAKE). Only the numbers are
// looked at: memory that is not registered, or whose process has ended, is no error.
//
// Errors: ErrInvalid (the range), ErrClosed.
//
// Needs Linux 4.3.
func (f *FD) Wake(r Range) error {
	arg := toArg(r)
	if errno := f.rawWake(&arg); errno != 0 {
		return newError("UFFDIO_WAKE", r, 0, errno)
	}
	return nil
}

// toArg is the kernel's form of a range. One that is not well formed gets a length of 0, which
// the kernel refuses.
func toArg(r Range) rangeArg { return rangeArg{Start: uint64(r.Start), Len: uint64(r.Len())} }
