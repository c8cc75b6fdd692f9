// Package pagecache tells what the page cache holds of a file, by mincore(2). For a file that the user neither owns nor may write, the
// kernel says "all".
package pagecache

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Mapping is which pages of a mapping are in memory: bit 0 of each byte.
func Mapping(b []byte) ([]byte, error) {
	page := os.Getpagesize()
	list := make([]byte, (len(b)+page-1)/page)
	_, _, e := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(unsafe.Pointer(unsafe.SliceData(list))))
	if e != 0 {
		return nil, fmt.Errorf("mincore: %w", e)
	}
	return list, nil
}

// File is which pages of a file are there, through a mapping that is never touched: bit 0 of each byte. An empty one has none.
func File(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size() == 0 {
		return nil, err
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	defer unix.Munmap(mem)
	return Mapping(mem)
}
