package demo

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pages makes a file of n pages and returns it open.
func pages(t *testing.T, dir string, n int) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(bytes.Repeat([]byte{1}, n*os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	return f
}

func onTmpfs(t *testing.T, dir string) bool {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return s.Type == unix.TMPFS_MAGIC
}

func TestDropPageCache(t *testing.T) {
	dir := t.TempDir()
	if onTmpfs(t, dir) {
		t.Skip("the temporary directory is on tmpfs, which has no disk to read from")
	}
	f := pages(t, dir, 64)
	got, err := dropPageCache(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	size := int64(64 * os.Getpagesize())
	if got != (PageCache{Bytes: size, Before: size}) {
		t.Errorf("got %+v, want all of %d bytes there before and none after", got, size)
	}
}

// Pages that a process has mapped stay, and the result says so.
func TestDropPageCacheOfAMappedFile(t *testing.T) {
	f := pages(t, t.TempDir(), 64)
	size := 64 * os.Getpagesize()
	mem, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mem)
	got, err := dropPageCache(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if got.After != int64(size) || !strings.Contains(got.Refusal, "-cache") {
		t.Errorf("got %+v, want all of it kept, and said", got)
	}
}

func TestDropPageCacheOnTmpfs(t *testing.T) {
	f := pages(t, smallDisk(t, "1m"), 64)
	got, err := dropPageCache(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if got.After != got.Bytes || got.Refusal == "" {
		t.Errorf("got %+v, want a refusal", got)
	}
}

func TestDropPageCacheErrors(t *testing.T) {
	if _, err := dropPageCache(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want ErrNotExist", err)
	}
}
