//go:build unix

package agent

import "golang.org/x/sys/unix"

// plainMemory maps anonymous memory, as a profiled arena is, and not a slice of the Go heap: there
// an arena would raise the collector's target, and using it after Close would go unnoticed.
func plainMemory(size int) ([]byte, error) {
	return unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
}

func releasePlain(b []byte) error { return unix.Munmap(b) }
