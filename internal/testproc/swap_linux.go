package testproc

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// NeedSwap has somewhere to swap to: what the system has, or for root a file of the test's own.
func NeedSwap(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("/proc/swaps")
	if err == nil && strings.Count(string(text), "\n") >= 2 {
		return
	}
	if os.Geteuid() != 0 {
		t.Skipf("no swap here: /proc/swaps has none, and only root can add some")
	}
	const pages = 8192
	pageSize := os.Getpagesize()
	path := filepath.Join(t.TempDir(), "swap")
	// union swap_header, include/linux/swap.h: the version and the last page behind 1,024 bytes for boot
	// loaders, and the magic at the end of the page. Blocks that were not written would be holes.
	header := make([]byte, pages*pageSize)
	binary.NativeEndian.PutUint32(header[1024:], 1)
	binary.NativeEndian.PutUint32(header[1028:], pages-1)
	copy(header[pageSize-10:], "SWAPSPACE2")
	if err := os.WriteFile(path, header, 0o600); err != nil {
		t.Fatal(err)
	}
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, e := unix.Syscall(unix.SYS_SWAPON, uintptr(unsafe.Pointer(name)), 0, 0); e != 0 {
		t.Skipf("no swap here: swapon: %v", e)
	}
	t.Cleanup(func() {
		if _, _, e := unix.Syscall(unix.SYS_SWAPOFF, uintptr(unsafe.Pointer(name)), 0, 0); e != 0 {
			t.Errorf("swapoff: %v", e)
		}
	})
}
