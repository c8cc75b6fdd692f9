package service

import "golang.org/x/sys/unix"

// forget takes a mapping of a file out of the page tables.
func forget(start, end uintptr) error {
	if _, _, e := unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED); e != 0 {
		return e
	}
	return nil
}
