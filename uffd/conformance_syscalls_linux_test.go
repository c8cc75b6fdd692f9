package uffd

import (
	"fmt"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pin pins mem in memory for the length of the test, as an io_uring's fixed buffer, io_uring(7).
func pin(t *testing.T, mem []byte) error {
	t.Helper()
	var params [120]byte // struct io_uring_params
	ring, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
	if errno != 0 {
		return fmt.Errorf("io_uring_setup: %w", errno)
	}
	t.Cleanup(func() { _ = unix.Close(int(ring)) })
	const registerBuffers = 0
	iov := unix.Iovec{Base: &mem[0]}
	iov.SetLen(len(mem))
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, ring, registerBuffers, uintptr(unsafe.Pointer(&iov)), 1, 0, 0); errno != 0 {
		return fmt.Errorf("io_uring_register: %w", errno)
	}
	return nil
}

// remap moves the area's mapping to another place, mremap(2), and returns what is there.
func remap(t *testing.T, a area) []byte {
	t.Helper()
	to := a.hole(t)
	if errno := rawRemap(a.rng(), to); errno != 0 {
		t.Fatalf("mremap: %v", errno)
	}
	return bytesAt(Range{to, to + Addr(len(a.mem))})
}

// rawRemap is mremap(2) to a fixed address.
func rawRemap(from Range, to Addr) unix.Errno {
	_, _, errno := unix.Syscall6(unix.SYS_MREMAP, uintptr(from.Start), from.Len(), from.Len(),
		unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, uintptr(to), 0)
	return errno
}

// rawMapFixed maps a file's beginning over what is at an address.
func rawMapFixed(at Addr, length, file int) unix.Errno {
	_, err := unix.MmapPtr(file, 0, *(*unsafe.Pointer)(unsafe.Pointer(&at)), uintptr(length),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_FIXED)
	errno, _ := err.(unix.Errno)
	return errno
}
