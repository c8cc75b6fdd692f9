package bbolttest

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

var page = os.Getpagesize()

// newFile makes a file of so many pages; page i holds pattern(i). It stays open for the test.
func newFile(t *testing.T, pages int) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	for i := range pages {
		if _, err := f.Write(pattern(i)); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// pattern is a page that differs from all others.
func pattern(i int) []byte {
	b := make([]byte, page)
	for j := 0; j < page; j += 8 {
		binary.LittleEndian.PutUint64(b[j:], uint64(i+1)<<32|uint64(j))
	}
	return b
}

// mapFile maps pages of a file, shared.
func mapFile(t *testing.T, f *os.File, first, pages, prot int) []byte {
	t.Helper()
	return mapAt(t, nil, int(f.Fd()), first, pages, prot, unix.MAP_SHARED)
}

// mapAt maps pages where b is, or anywhere when b is nil.
func mapAt(t *testing.T, b []byte, fd, first, pages, prot, flags int) []byte {
	t.Helper()
	if b != nil {
		flags |= unix.MAP_FIXED_NOREPLACE
	}
	p, err := unix.MmapPtr(fd, int64(first*page), unsafe.Pointer(unsafe.SliceData(b)), uintptr(pages*page), prot, flags)
	if err != nil {
		t.Fatal("mmap:", err)
	}
	return unsafe.Slice((*byte)(p), pages*page)
}

// foreign maps memory that has nothing to do with the file, and fills it.
func foreign(t *testing.T, at []byte) []byte {
	t.Helper()
	b := mapAt(t, at, -1, 0, len(at)/page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	for i := range b {
		b[i] = 0xf0 | byte(i>>12)
	}
	return b
}

func checkForeign(t *testing.T, when string, b []byte) {
	t.Helper()
	for i := range b {
		if b[i] != 0xf0|byte(i>>12) {
			t.Fatalf("%s: memory of somebody else was changed at byte %d", when, i)
		}
	}
}

func unmap(t *testing.T, b []byte) {
	t.Helper()
	if err := unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b))); err != nil {
		t.Fatal("munmap:", err)
	}
}

func addr(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// checkPages asserts that the memory holds the pattern from page first on.
func checkPages(t *testing.T, when string, b []byte, first int) {
	t.Helper()
	for i := range len(b) / page {
		if !bytes.Equal(b[i*page:(i+1)*page], pattern(first+i)) {
			t.Fatalf("%s: page %d is not what the file holds", when, first+i)
		}
	}
}

// sink keeps reads from being optimised away.
var sink byte

// touch reads one byte of every step-th page.
func touch(b []byte, step int) {
	for i := 0; i < len(b); i += step * page {
		sink += b[i]
	}
}

// region returns the region's statistics now.
func region(t *testing.T, p *profiler.Profiler, r *profiler.Region) *profiler.RegionStats {
	t.Helper()
	s := p.Snapshot()
	return &s.Regions[r.ID()]
}

// observed reports whether all of b is observed now.
func observed(t *testing.T, p *profiler.Profiler, r *profiler.Region, b []byte) bool {
	t.Helper()
	for _, m := range region(t, p, r).Mappings {
		if m.Start <= addr(b) && addr(b)+uintptr(len(b)) <= m.End {
			return true
		}
	}
	return false
}

// look waits until the profiler has looked at the file's mappings and acted, from begin to end: it
// takes notice of a mapping that is made now, and that it is gone.
func look(t *testing.T, p *profiler.Profiler, r *profiler.Region, f *os.File) {
	t.Helper()
	probe := mapFile(t, f, 0, 1, unix.PROT_READ)
	eventually(t, "a new mapping is observed", func() bool { return observed(t, p, r, probe) })
	unmap(t, probe)
	eventually(t, "a mapping that is gone is forgotten", func() bool { return !observed(t, p, r, probe) })
}
