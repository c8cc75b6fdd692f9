package demo

import (
	"fmt"
	"io"
	"os"

	"github.com/firsttouch/firsttouch/internal/pagecache"
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
		return PageCache{}, fmt.Errorf("dropping the page cache: %w", err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		p.Refusal = fmt.Sprintf("posix_fadvise: %v", err)
	}
	if p.After, err = resident(mem); err != nil {
		return PageCache{}, fmt.Errorf("dropping the page cache: %w", err)
	}
	if p.Refusal == "" {
		p.judge()
	}
	return p, nil
}

// resident is how many bytes of a mapping are in memory.
func resident(mem []byte) (n int64, err error) {
	list, err := pagecache.Mapping(mem)
	for _, there := range list {
		n += int64(there&1) * int64(os.Getpagesize())
	}
	return min(n, int64(len(mem))), err
}
