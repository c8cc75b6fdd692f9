//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What an owner cannot have while a file is covered: mincore(2) tells of the pages that were touched alone, MADV_REMOVE and growing
// by mremap(2) fail, with the mapping and its contents as they were; and all is as ever afterwards.
func TestWhatOwnersCannotHave(t *testing.T) {
	const pages = 16
	path := diskFile(t, pages*pageSize)
	mem := mapFile(t, path, pages*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	in := func(i int) bool {
		t.Helper()
		var vec [1]byte
		_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mem[i*pageSize])), pageSizeOf(), uintptr(unsafe.Pointer(&vec[0])))
		if errno != 0 {
			t.Fatal(errno)
		}
		return vec[0]&1 != 0
	}
	p := newProfiler(t, WithGranule(pageSize))
	r, err := p.AttachFile(path)
	must(t, err)
	sink = mem[3*pageSize]
	if !in(3) {
		t.Error("the page that was touched is absent")
	}
	t.Logf("mincore says of a page that was not touched: %t", in(5))
	const remove = 9 // MADV_REMOVE
	if _, _, errno := unix.Syscall(unix.SYS_MADVISE, addressOf(mem)+5*pageSizeOf(), pageSizeOf(), remove); errno == 0 {
		t.Error("MADV_REMOVE worked: then docs/limits.md is wrong")
	}
	if to, _, errno := unix.Syscall6(unix.SYS_MREMAP, addressOf(mem), uintptr(len(mem)), 2*uintptr(len(mem)), unix.MREMAP_MAYMOVE, 0, 0); errno != unix.EFAULT {
		t.Fatalf("growing by mremap: %#x, %v, want EFAULT", to, errno)
	}
	if !bytes.Equal(mem, contents(len(mem))) {
		t.Error("the contents changed")
	}
	must(t, r.Close())
	for i := range pages {
		if !in(i) {
			t.Errorf("page %d is absent afterwards", i)
		}
	}
	to, _, errno := unix.Syscall6(unix.SYS_MREMAP, addressOf(mem), uintptr(len(mem)), uintptr(len(mem)), 0, 0, 0)
	if errno != 0 || to != addressOf(mem) {
		t.Errorf("afterwards it is no single mapping: %v", errno)
	}
}

func pageSizeOf() uintptr { return uintptr(pageSize) }

// Code that is known to make such calls is named once a file is covered, and no other.
func TestOwnersAreNamed(t *testing.T) {
	known := owners
	defer func() { owners = known }()
	owners = append(owners[:len(owners):len(owners)], owner{"github.com/firsttouch/firsttouch/profiler.TestOwnersAreNamed", "this test is linked in"})
	path := diskFile(t, pageSize)
	mapFile(t, path, pageSize, unix.PROT_READ, unix.MAP_SHARED)
	p := newProfiler(t)
	if p.text == nil {
		t.Fatal("the function table cannot be read")
	}
	r, err := p.AttachFile(path)
	must(t, err)
	if s := p.Snapshot(); !notesSay(s, "this test is linked in") || notesSay(s, "-fs.disableMincore") || notesSay(s, "Badger") {
		t.Errorf("notes: %q", s.Stats.Notes)
	}
	must(t, r.Close())
}
