package profiler

// WithFailingSystemCalls lets the profiler run where the kernel has it serve faults of user mode only. There a
// system call that is handed profiled memory before its first touch fails with EFAULT:
//
//   - conn.Write, File.Write, writev, UDP and pipes send less or nothing, so that an HTTP answer or a file
//     ends early;
//   - read(2) into such memory fails, and so does open(2) with a path in it;
//   - futex(2) on a mutex in it fails, upon which the C library aborts the process. LMDB has such a mutex in its file
//     lock.mdb.
//
// Give it where the service copies what it hands to system calls. Without it New answers ErrUserModeOnly there. It
// changes nothing where the kernel serves system calls. WithDelivery(DeliverySignal) implies it.
func WithFailingSystemCalls() Option {
	return optionFunc(func(c *config) error { c.failing = true; return nil })
}
