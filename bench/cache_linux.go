//go:build linux && (amd64 || arm64)

package bench

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/firsttouch/firsttouch/internal/pagecache"
	"golang.org/x/sys/unix"
)

// prepare brings the cell's file, if it has one, to where the cell wants it: into the page cache or out
// of it.
func (r *rig) prepare(c cell) error {
	if c.Memory == memoryArena {
		return nil
	}
	f, err := os.Open(r.compared)
	if err != nil {
		return err
	}
	defer f.Close()
	if c.Memory == memoryCache {
		_, err := io.Copy(io.Discard, f)
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	left := 0
	for range dropTries {
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			return fmt.Errorf("drop %s from the page cache: %w", r.compared, err)
		}
		if left, err = resident(f, int(info.Size())); err != nil || left == 0 {
			return err
		}
		time.Sleep(dropPause)
	}
	return fmt.Errorf("%d pages of %s stay in the page cache", left, r.compared)
}

// Pages that are being read ahead stay until they have arrived.
const (
	dropTries = 100
	dropPause = 20 * time.Millisecond
)

// resident counts the pages of a file that are in the page cache.
func resident(f *os.File, size int) (n int, err error) {
	b, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, unix.Munmap(b)) }()
	list, err := pagecache.Mapping(b)
	for _, v := range list {
		n += int(v & 1)
	}
	return n, err
}

// fileOf is the file that a cell touches, or empty.
func (r *rig) fileOf(c cell) string {
	if c.Memory == memoryArena || c.Memory == memoryZero {
		return ""
	}
	return r.compared
}

// makeCompared writes the file of the comparison once, and to its storage: what is dirty cannot be dropped.
func (r *rig) makeCompared(size int) error {
	r.compared = r.dir + "/compared"
	if err := writeFile(r.compared, size, pageSize); err != nil {
		return err
	}
	f, err := os.OpenFile(r.compared, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
