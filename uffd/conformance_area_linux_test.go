package uffd

import (
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// area is memory of one kind for a cell: what gets registered, and for the kinds with a file a
// shared mapping of the same pages, which is not.
type area struct {
	kind  MemoryKind
	size  int // of a page, in bytes
	mem   []byte
	alias []byte
}

// newArea maps pages of a kind. The cell's process is all that unmaps them, if the cell does not: a
// row may have moved them, and something else may have come there. The pages of huge memory are reserved by
// the mapping; where there are none the test skips.
func newArea(t *testing.T, kind MemoryKind, pages int) area {
	t.Helper()
	a := area{kind: kind, size: PageSize()}
	if a.huge() {
		size, err := hugePageSize()
		if err != nil {
			t.Skip(err)
		}
		a.size = size
	}
	flags := unix.MAP_SHARED
	if a.private() {
		flags = unix.MAP_PRIVATE
	}
	file, length := -1, pages*a.size
	switch kind {
	case MemoryAnonymous, MemoryShmem:
		flags |= unix.MAP_ANONYMOUS
	case MemoryFile:
		file = diskFile(t, length)
		defer unix.Close(file)
	default:
		file = memfd(t, a.huge(), length)
		defer unix.Close(file)
	}
	a.mem = mapping(t, a, file, length, flags)
	if file >= 0 {
		a.alias = mapping(t, a, file, length, unix.MAP_SHARED)
	}
	return a
}

func (a area) huge() bool { return a.kind == MemoryHugetlb || a.kind == MemoryHugetlbPrivate }

func (a area) private() bool {
	return a.kind == MemoryAnonymous || a.kind == MemoryMemfdPrivate || a.kind == MemoryHugetlbPrivate
}

func (a area) pages() int { return len(a.mem) / a.size }

func (a area) page(n int) []byte { return a.mem[n*a.size : (n+1)*a.size] }

func (a area) pageRange(n int) Range { return RangeOf(a.page(n)) }

func (a area) rng() Range { return RangeOf(a.mem) }

// pattern is a page that begins with b.
func (a area) pattern(b byte) []byte {
	p := make([]byte, a.size)
	p[0] = b
	return p
}

// open is openTest for the pages of the area.
func (a area) open(t *testing.T, opts ...Option) *FD {
	t.Helper()
	return openTest(t, opts...)
}

func memfd(t *testing.T, huge bool, length int) int {
	t.Helper()
	flags := unix.MFD_CLOEXEC
	if huge {
		flags |= unix.MFD_HUGETLB
	}
	file, err := unix.MemfdCreate("uffd-test", flags)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Ftruncate(file, int64(length)); err != nil {
		t.Fatal(err)
	}
	return file
}

// diskFile is a file that has all its blocks.
func diskFile(t *testing.T, length int) int {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "conformance")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(file.Fd()), &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Type == unix.TMPFS_MAGIC {
		t.Skip("the temporary directory is on tmpfs, whose files are shared memory: set TMPDIR to one on a disk")
	}
	if _, err := file.Write(make([]byte, length)); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func mapping(t *testing.T, a area, file, length, flags int) []byte {
	t.Helper()
	at, err := unix.MmapPtr(file, 0, nil, uintptr(length), unix.PROT_READ|unix.PROT_WRITE, flags)
	if err == unix.ENOMEM && a.huge() {
		t.Skipf("%d huge pages of %d bytes are needed, %s are free and %s of them reserved: sysctl -w vm.nr_hugepages=%d",
			length/a.size, a.size, memInfo("HugePages_Free"), memInfo("HugePages_Rsvd"), hugePagesWanted)
	}
	if err != nil {
		t.Fatal(err)
	}
	return unsafe.Slice((*byte)(at), length)
}

// unmap gives the area back before the test ends, for a test that maps many.
func (a area) unmap(t *testing.T) {
	t.Helper()
	for _, mem := range [][]byte{a.mem, a.alias} {
		if mem == nil {
			continue
		}
		if err := unix.MunmapPtr(unsafe.Pointer(&mem[0]), uintptr(len(mem))); err != nil {
			t.Error(err)
		}
	}
}

// hole is an address where the area may be moved to, aligned to its pages.
func (a area) hole(t *testing.T) Addr {
	t.Helper()
	at, err := unix.MmapPtr(-1, 0, nil, uintptr(len(a.mem)+a.size), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		t.Fatal(err)
	}
	return (Addr(uintptr(at)) + Addr(a.size) - 1).AlignDown(uintptr(a.size))
}

// bytesAt is memory by its address.
func bytesAt(r Range) []byte {
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&r.Start))), r.Len())
}

// memInfo is a value of /proc/meminfo.
func memInfo(name string) string {
	text, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && key == name {
			return strings.TrimSpace(value)
		}
	}
	return "an unknown number"
}

// hugePagesWanted is what the hungriest cell needs: an area, what it is moved to, a child's copies.
const hugePagesWanted = 40
