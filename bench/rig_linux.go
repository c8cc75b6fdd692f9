//go:build linux && (amd64 || arm64)

package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

var pageSize = os.Getpagesize()

// rig is what the variants need from outside: files and programs. It is made once for all rounds.
type rig struct {
	dir      string
	pages    int    // of a round
	peer     string // the C yardstick, or empty
	peerSkip string // why it is
	perf     string // path of perf, or empty
	perfSkip string
	plain    string    // a file for plain mappings
	profiled string    // an equal one for ours: AttachFile covers every mapping of its file
	atOnce   [2]string // as these two, but written in one piece
	compared string    // the file of Compare
}

// newRig prepares for rounds of so many touched pages.
func newRig(pages int) (*rig, error) {
	dir, err := os.MkdirTemp("", "firsttouch-bench-")
	if err != nil {
		return nil, err
	}
	r := &rig{dir: dir, pages: pages}
	r.peer, r.peerSkip = buildPeer(dir)
	r.perf, r.perfSkip = findPerf(dir)
	for _, f := range []struct {
		name  string
		path  *string
		piece int
	}{
		{"plain", &r.plain, pageSize},
		{"profiled", &r.profiled, pageSize},
		{"plain-at-once", &r.atOnce[0], pages * pageSize},
		{"profiled-at-once", &r.atOnce[1], pages * pageSize},
	} {
		*f.path = filepath.Join(dir, f.name)
		if err := writeFile(*f.path, pages*pageSize, f.piece); err != nil {
			return nil, errors.Join(err, r.close())
		}
	}
	return r, nil
}

// swapFiles gives the plain mapping what the profiled one had.
func (r *rig) swapFiles() {
	r.plain, r.profiled = r.profiled, r.plain
	r.atOnce[0], r.atOnce[1] = r.atOnce[1], r.atOnce[0]
}

func (r *rig) close() error { return os.RemoveAll(r.dir) }

// writeFile makes a file of pages that all differ, in pieces of so many bytes. What was just written
// is in the page cache: page by page, as databases write, in small folios, at once in large ones
// where the file system has them. Those the kernel maps with one entry for 2 MiB.
func writeFile(path string, size, piece int) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b := make([]byte, piece)
	for at := 0; at < size; at += piece {
		for page := 0; page < piece; page += pageSize {
			copy(b[page:], fmt.Sprint(at+page))
		}
		if _, err := f.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// mapArena is the plain memory that a profiled arena is compared with: of small pages, since one
// fault of a huge page would stand for 512.
func mapArena(size int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", size, err)
	}
	// EINVAL: a kernel without huge pages.
	if err := unix.Madvise(b, unix.MADV_NOHUGEPAGE); err != nil && err != unix.EINVAL {
		unix.Munmap(b)
		return nil, fmt.Errorf("madvise: %w", err)
	}
	return b, nil
}

// mapFile maps a file read-only and shared.
func mapFile(path string, size int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return b, nil
}
