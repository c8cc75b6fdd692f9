package uffd

import (
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// Where the pool of huge pages is empty the kernel may answer EEXIST for a page that is not there, in
// hugetlb_mfill_atomic_pte: amd64 does on Linux 6.18 and 7.3, and arm64 says ENOMEM on 6.12. So of huge
// pages EEXIST is no proof.
func TestEmptyPoolOfHugePages(t *testing.T) {
	if parentOf(t) {
		testproc.HugePages(t, hugePagesWanted, false)
	}
	if !inChild(t) {
		return
	}
	size, err := hugePageSize()
	if err != nil {
		t.Skip(err)
	}
	if _, err := HaveRegister(MemoryHugetlbPrivate, ModeMissing, 0); err != nil {
		t.Skip(err)
	}
	// A mapping without a reservation, and others that reserve what there is, up to a number that
	// leaves a machine with a large pool in peace.
	const flags = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_HUGETLB
	unreserved, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, flags|unix.MAP_NORESERVE)
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	for ; taken < 2*hugePagesWanted; taken++ {
		if _, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, flags); err != nil {
			break
		}
	}
	if err == nil {
		t.Skipf("more than %d huge pages are free: the pool does not get empty", taken)
	}
	fd := openTest(t)
	register(t, fd, unreserved, ModeMissing)
	source := make([]byte, size)
	arg := copyArg{Dst: uint64(RangeOf(unreserved).Start), Src: uint64(RangeOf(source).Start), Len: uint64(size)}
	if errno := fd.rawCopy(&arg); (errno != unix.EEXIST && errno != unix.ENOMEM) || arg.Copy != -int64(errno) {
		t.Errorf("%v with %d, want EEXIST or ENOMEM in both", errno, arg.Copy)
	}
	if entry(t, RangeOf(unreserved).Start).Present() {
		t.Error("the page is there, so this test shows nothing")
	}
}
