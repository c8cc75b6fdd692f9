package bbolttest

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// msync(2) with MS_SYNC promises that what was written through a mapping is on the disk. A
// placeholder is not the file, so what was written before it was laid must be on its way already.
func TestMsyncLeavesNothingDirty(t *testing.T) {
	if !inChild(t, nil) {
		return
	}
	const pages = 64
	f := newFile(t, pages)
	var fs unix.Statfs_t
	if err := unix.Statfs(f.Name(), &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Type == unix.TMPFS_MAGIC {
		t.Skip("the directory for temporary files is in memory (tmpfs): nothing is ever clean; set TMPDIR to a disk")
	}
	b := mapFile(t, f, 0, pages, unix.PROT_READ|unix.PROT_WRITE)
	// Only the page tables of a mapping show its dirty pages. A private one is not profiled.
	eye := mapAt(t, nil, int(f.Fd()), 0, pages, unix.PROT_READ, unix.MAP_PRIVATE)
	dirty := func() int {
		t.Helper()
		touch(eye, 1)
		list := vmas(t, addr(eye), addr(eye)+1)
		if len(list) != 1 {
			t.Fatalf("mapped as %v", list)
		}
		return list[0].dirty
	}
	write := func(round int) {
		t.Helper()
		for i := round; i < pages; i += 4 {
			b[i*page+round] = byte(round + 1)
		}
		if dirty() == 0 {
			t.Error("nothing is dirty after writing: this test cannot see what it looks for")
		}
	}
	sync := func(when string) {
		t.Helper()
		if err := unix.Msync(b, unix.MS_SYNC); err != nil {
			t.Fatal(err)
		}
		if n := dirty(); n != 0 {
			t.Errorf("%s: %d KiB are dirty after msync", when, n)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	write(0)
	p := start(t)
	r := attach(t, p, f.Name())
	sync("written before attaching")
	write(1)
	sync("written while attached")
	write(2)
	rearm(t, r)
	sync("written in the window before")
	write(3)
	detach(t, r)
	sync("after detaching")
	for round := range 4 {
		if i := slices.IndexFunc(b[round*page:], func(c byte) bool { return c == byte(round+1) }); i < 0 {
			t.Errorf("what round %d wrote is gone", round)
		}
	}
}
