//go:build linux && (amd64 || arm64)

package profiler

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// What is in the file twice, because it grew meanwhile, is in the list once.
func TestParseMapsThatGrow(t *testing.T) {
	const rw = unix.PROT_READ | unix.PROT_WRITE
	got, err := parseMaps([]byte("1000-3000 rw-p 00000000 00:00 0\n1000-5000 rw-p 00000000 00:00 0\n5000-6000 ---p 00000000 00:00 0\n" +
		"7000-9000 r--s 00004000 fe:01 7 /a\n7000-b000 r--s 00004000 fe:01 7 /a\n8000-b000 rw-s 00005000 fe:01 7 /a\nb000-c000 rw-p 00000000 00:00 0\n"))
	want := []procMap{
		{lo: 0x1000, hi: 0x3000, prot: rw}, {lo: 0x3000, hi: 0x5000, prot: rw}, {lo: 0x5000, hi: 0x6000},
		{0x7000, 0x9000, unix.PROT_READ, true, 0x4000, 0xfe<<32 | 1, 7, "/a"}, {0x9000, 0xb000, unix.PROT_READ, true, 0x6000, 0xfe<<32 | 1, 7, "/a"},
		{lo: 0xb000, hi: 0xc000, prot: rw},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v\nwant %+v", got, err, want)
	}
}

// A mapping of this process is in the list as it was made, with its flags.
func TestReadMaps(t *testing.T) {
	path := newFile(t, 4*pageSize)
	b := mapFile(t, path, 4*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	if err := unix.Madvise(b, unix.MADV_RANDOM); err != nil {
		t.Fatal(err)
	}
	id, _, err := identify(path)
	if err != nil {
		t.Fatal(err)
	}
	list, err := readMaps()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(m procMap) bool { return id.is(&m) })
	if i < 0 {
		t.Fatalf("%s is not in the list", path)
	}
	lo := addressOf(b)
	if m := list[i]; m.lo != lo || m.hi != lo+uintptr(4*pageSize) || m.prot != unix.PROT_READ || !m.shared || m.offset != 0 || m.path != path {
		t.Errorf("%+v", m)
	}
	at, err := smapAt(lo)
	if err != nil || !at.has("rr") || at.has("lo") || at.page != uintptr(pageSize) {
		t.Errorf("%+v, %v", at, err)
	}
	if _, err := smapAt(1); err == nil {
		t.Error("flags of a mapping that is not there")
	}
}
