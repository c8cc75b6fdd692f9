//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What an owner cannot have while a file is covered by thread: mincore(2) tells of the pages that were touched alone, MADV_REMOVE and growing
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
	p := newProfiler(t, WithGranule(pageSize), WithDelivery(DeliveryThread))
	r, err := attached(func() (*Region, error) { return p.AttachFile(path) })
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
	must(t, patiently(r.Close))
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

// By signal the owner has its own mapping, but mlock(2) and MADV_POPULATE_READ fail where they would have to read in what is armed.
func TestWhatOwnersHaveBySignal(t *testing.T) {
	skipWithoutLocks(t, false)
	const pages, remove, populateRead = 16, 9, 22
	path := diskFile(t, 2*pages*pageSize)
	mem := mapFile(t, path, pages*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	cached := make([]byte, pages)
	for i := range pages {
		sink = mem[i*pageSize] // in the page cache
	}
	p := newProfiler(t, WithGranule(pageSize), WithDelivery(DeliverySignal))
	r, err := attached(func() (*Region, error) { return p.AttachFile(path) })
	must(t, err)
	sink = mem[3*pageSize]
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, addressOf(mem), uintptr(len(mem)), uintptr(unsafe.Pointer(&cached[0]))); errno != 0 {
		t.Fatal(errno)
	}
	for i, c := range cached {
		if c&1 == 0 {
			t.Errorf("mincore: page %d is absent", i)
		}
	}
	must(t, unix.Madvise(mem, unix.MADV_RANDOM))
	must(t, unix.Madvise(mem[5*pageSize:6*pageSize], remove))
	refused := unix.EFAULT // of a guard marker; mm/gup.c, faultin_page_range
	if r.maps[0].Rightless() {
		refused = unix.EINVAL // of a mapping without rights
	}
	if err := unix.Madvise(mem[7*pageSize:8*pageSize], populateRead); err != refused {
		t.Errorf("MADV_POPULATE_READ: %v, want %v", err, refused)
	}
	if err := unix.Mlock(mem[7*pageSize : 8*pageSize]); err != unix.ENOMEM {
		t.Errorf("mlock: %v, want ENOMEM", err)
	}
	must(t, unix.Munlock(mem[7*pageSize:8*pageSize]))
	must(t, mlock2(mem[7*pageSize:8*pageSize], unix.MLOCK_ONFAULT))
	must(t, unix.Munlock(mem[7*pageSize:8*pageSize]))
	want := contents(len(mem))
	clear(want[5*pageSize : 6*pageSize])
	if !bytes.Equal(mem, want) {
		t.Error("the contents are not what the owner made of them")
	}
	must(t, patiently(r.Close))
	if !bytes.Equal(mem, want) {
		t.Error("the contents changed")
	}
}

func pageSizeOf() uintptr { return uintptr(pageSize) }

// Code that is known to make such calls is named once a file is covered, and no other. A file that is armed by guard markers is its
// owner's mapping, and nothing is to be said.
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
	r, err := attached(func() (*Region, error) { return p.AttachFile(path) })
	must(t, err)
	inPieces := testDelivery() == DeliveryThread || r.maps[0].Rightless()
	if s := p.Snapshot(); notesSay(s, "this test is linked in") != inPieces || notesSay(s, "-fs.disableMincore") || notesSay(s, "Badger") {
		t.Errorf("notes: %q", s.Stats.Notes)
	}
	must(t, patiently(r.Close))
}
