package demo

import (
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dropPageCache makes the kernel forget a file's pages, so that they come from the disk. No
// process may have pages of it mapped meanwhile: those are kept. An error means that nothing is
// known; that the kernel did not do it is in the result.
func dropPageCache(path string) (PageCache, error) {
	f, err := os.Open(path)
	if err != nil {
		return PageCache{}, fmt.Errorf("dropping the page cache: %w", err)
	}
	defer f.Close()
	// First all of it is read, so that caches below the kernel (of a disk controller, or of the
	// machine under a virtual one) are in the same state for every run that is compared.
	size, err := io.Copy(io.Discard, f)
	if err != nil {
		return PageCache{}, fmt.Errorf("dropping the page cache: %w", err)
	}
	p := PageCache{Bytes: size}
	// Dirty pages are not dropped.
	if err := f.Sync(); err != nil {
		return PageCache{}, fmt.Errorf("dropping the page cache: %w", err)
	}
	// A mapping of its own, never touched, to look through.
	mem, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return PageCache{}, fmt.Errorf("dropping the page cache: %w", err)
	}
	defer unix.Munmap(mem)
	if p.Before, err = resident(mem); err != nil {
		return PageCache{}, fmt.Errorf("dropping the page cache: mincore: %w", err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		p.Refusal = fmt.Sprintf("posix_fadvise: %v", err)
	}
	if p.After, err = resident(mem); err != nil {
		return PageCache{}, fmt.Errorf("dropping the page cache: mincore: %w", err)
	}
	if p.Refusal == "" {
		p.judge()
	}
	return p, nil
}

// resident asks mincore(2) how many bytes of a mapping are in memory. For a file that the user
// neither owns nor may write, the kernel says "all".
func resident(mem []byte) (int64, error) {
	page := os.Getpagesize()
	vec := make([]byte, (len(mem)+page-1)/page)
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mem[0])), uintptr(len(mem)), uintptr(unsafe.Pointer(&vec[0])))
	if errno != 0 {
		return 0, errno
	}
	var n int64
	for _, v := range vec {
		if v&1 != 0 {
			n += int64(page)
		}
	}
	return min(n, int64(len(mem))), nil
}
