package uffd

// WriteProtect protects the pages of r, which must be registered with ModeWP, against writes
// (WriteProtectModeWP), or ends that and wakes those that wait to write (0). The kernel does not
// say how far it came; on ErrEventPending do all of it again. Pages that are not there are
// protected only with FeatureWPUnpopulated, or in shared memory and huge pages.
func (f *FD) WriteProtect(r Range, mode uint64) error {
	arg := WriteProtectArg{Range: rangeArg(r), Mode: mode}
	if errno := f.RawWriteProtect(&arg); errno != 0 {
		return newError("UFFDIO_WRITEPROTECT", r, 0, errno)
	}
	return nil
}

// RWProtect protects the present pages of r, which must be registered with ModeRWP, against reads
// and writes (RWProtectModeRWP), or ends that and wakes those that wait for an access (0). It needs
// FeatureRWP. With FeatureRWPAsync the kernel ends the protection of a page at its first access, and
// Pagemap.Scan finds the pages that had none.
func (f *FD) RWProtect(r Range, mode uint64) error {
	arg := RWProtectArg{Range: rangeArg(r), Mode: mode}
	if errno := f.RawRWProtect(&arg); errno != 0 {
		return newError("UFFDIO_RWPROTECT", r, 0, errno)
	}
	return nil
}

// SetMode switches features of a descriptor in use on and off. The kernels that have it take
// FeatureRWPAsync only. Switched on, it wakes the threads that wait for a protected page.
// FD.Enabled goes on to say what the handshake enabled.
func (f *FD) SetMode(enable, disable Features) error {
	arg := SetModeArg{Enable: uint64(enable), Disable: uint64(disable)}
	if errno := f.RawSetMode(&arg); errno != 0 {
		return newError("UFFDIO_SET_MODE", Range{}, 0, errno)
	}
	return nil
}
