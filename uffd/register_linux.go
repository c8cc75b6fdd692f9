package uffd

// Register makes the faults of r in these modes messages of f, and returns the ioctls that may be
// used on it. It may be called again for the same range to add modes. Errors: ErrInvalid (among
// them: memory that userfaultfd does not take, such as a file on disk), ErrBusy (another descriptor
// has it), ErrPermission (a shared mapping of a file that was opened for reading only), ErrNoMemory.
func (f *FD) Register(r Range, mode RegisterMode) (IoctlSet, error) {
	arg := RegisterArg{Range: rangeArg(r), Mode: mode}
	if errno := f.RawRegister(&arg); errno != 0 {
		return 0, newError("UFFDIO_REGISTER "+mode.String(), r, 0, errno)
	}
	return IoctlSet(arg.Ioctls), nil
}

// Unregister gives r back to the kernel and wakes its waiters: pages that were not filled read as
// zeros, or as the file has them. Parts of r that are not registered, or not mapped, are no error
// unless nothing is mapped at all or the kind of memory is one that no userfaultfd takes.
func (f *FD) Unregister(r Range) error {
	arg := rangeArg(r)
	if errno := f.RawUnregister(&arg); errno != 0 {
		return newError("UFFDIO_UNREGISTER", r, 0, errno)
	}
	return nil
}

// Wake wakes the threads that wait for a page of r, whose accesses are then repeated. Fills do it
// themselves unless told not to: use one Wake after several fills with Dontwake.
func (f *FD) Wake(r Range) error {
	arg := rangeArg(r)
	if errno := f.RawWake(&arg); errno != 0 {
		return newError("UFFDIO_WAKE", r, 0, errno)
	}
	return nil
}

// rangeArg is the kernel's form of a range. One that is not well formed gets a length of 0, which
// the kernel refuses.
func rangeArg(r Range) RangeArg { return RangeArg{Start: uint64(r.Start), Len: uint64(r.Len())} }
