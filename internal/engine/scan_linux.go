//go:build linux && (amd64 || arm64)

package engine

import (
	"fmt"
	"os"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// PAGEMAP_SCAN, struct pm_scan_arg and struct page_region, include/uapi/linux/fs.h (Linux 6.7).
const (
	pagemapScan  = 0xc0606610
	pageRegion   = 24     // {start, end, categories}
	pagePresent  = 1 << 3 // PAGE_IS_PRESENT
	pageSwapped  = 1 << 4 // PAGE_IS_SWAPPED
	scanRegions  = 512
	scanArgWords = 12
)

// scan lists the runs of pages in [lo, hi) that are in memory or swapped out, at out. It returns how
// many runs there are, and where the list ends.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) scan(w *worker, lo, hi, out uintptr) (n, end uintptr) {
	scanArg(&w.args, lo, hi, out, scanRegions)
	n = raw.Syscall(unix.SYS_IOCTL, uintptr(s.pagemapFD), pagemapScan, uintptr(unsafe.Pointer(&w.args)), 0, 0, 0)
	if e := raw.Errno(n); e != 0 {
		s.bar(callScan, e)
		return 0, lo
	}
	return n, uintptr(w.args[4])
}

//go:nosplit
//go:norace
//go:nocheckptr
func scanArg(a *[16]uint64, lo, hi, out uintptr, n uint64) {
	for i := range a {
		a[i] = 0
	}
	a[0], a[2], a[3], a[5], a[6] = scanArgWords*8, uint64(lo), uint64(hi), uint64(out), n
	a[10], a[11] = pagePresent|pageSwapped, pagePresent
}

// haveScan asks the kernel for the state of one page.
func haveScan() error {
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return fmt.Errorf("the engine needs /proc: %w", err)
	}
	defer f.Close()
	p, err := newOffHeap(4096)
	if err != nil {
		return err
	}
	defer freeOffHeap(p, 4096)
	var a [16]uint64
	scanArg(&a, p, p+uintptr(unix.Getpagesize()), p, 1)
	if _, _, n := unix.Syscall(unix.SYS_IOCTL, f.Fd(), pagemapScan, uintptr(unsafe.Pointer(&a))); n != 0 {
		return fmt.Errorf("%w: PAGEMAP_SCAN: %w", uffd.ErrNotSupported, n)
	}
	return nil
}
