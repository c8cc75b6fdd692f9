package main

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mincore asks which pages of a mapping are in the page cache: bit 0 of each byte.
func mincore(b []byte) ([]byte, error) {
	page := os.Getpagesize()
	list := make([]byte, (len(b)+page-1)/page)
	_, _, e := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(unsafe.Pointer(unsafe.SliceData(list))))
	if e != 0 {
		return nil, fmt.Errorf("mincore: %w", e)
	}
	return list, nil
}
