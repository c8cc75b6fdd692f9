//go:build linux && (amd64 || arm64)

package bench

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mincore asks which pages of a mapping are in memory: bit 0 of each byte.
func mincore(b []byte) ([]byte, error) {
	list := make([]byte, (len(b)+pageSize-1)/pageSize)
	_, _, e := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(unsafe.Pointer(unsafe.SliceData(list))))
	if e != 0 {
		return nil, fmt.Errorf("mincore: %w", e)
	}
	return list, nil
}
