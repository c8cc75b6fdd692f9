//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// parseLine parses a single line.
func parseLine(line string) (procMap, error) {
	m, path, err := parseMap([]byte(line))
	m.path = string(path)
	return m, err
}

func TestParseMap(t *testing.T) {
	for _, c := range []struct {
		line string
		want procMap
	}{
		{"7f00-8000 r--s 00001000 fe:01 1234                       /data/app.db (deleted)",
			procMap{0x7f00, 0x8000, unix.PROT_READ, true, 0x1000, 0xfe<<32 | 1, 1234, "/data/app.db (deleted)"}},
		{"55d0c8a00000-55d0c8a21000 rwxp 00000000 00:00 0 ",
			procMap{0x55d0c8a00000, 0x55d0c8a21000, unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC, false, 0, 0, 0, ""}},
		{"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]",
			procMap{0xffffffffff600000, 0xffffffffff601000, unix.PROT_EXEC, false, 0, 0, 0, "[vsyscall]"}},
		{"1000-2000 -w-s ffffffff000 103:05 18446744073709551615 /with  two spaces/and\\012newline",
			procMap{0x1000, 0x2000, unix.PROT_WRITE, true, 0xffffffff000, 0x103<<32 | 5, 1<<64 - 1, "/with  two spaces/and\\012newline"}},
		{"1000-2000 ---p 00000000 00:00 0", procMap{lo: 0x1000, hi: 0x2000}},
	} {
		if got, err := parseLine(c.line); err != nil || got != c.want {
			t.Errorf("%q: %+v, %v; want %+v", c.line, got, err, c.want)
		}
	}
	for _, line := range []string{
		"", "1000-2000", "1000-2000 r--p 0 00:00", "1000 r--p 0 00:00 0", "x-2000 r--p 0 00:00 0", "1000-2000 r--p 0 0000 0",
		"1000-2000 r--p 0 00:00 ff", "1000-2000 r--p -1 00:00 0", "10000000000000000-2 r--p 0 00:00 0",
	} {
		if got, err := parseLine(line); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", line)) {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
}

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

// Whatever is read as a line says the same when it is written as one again.
func FuzzParseMap(f *testing.F) {
	list, err := readMaps()
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range list {
		f.Add(m.line())
	}
	f.Add("7f00-8000 r--s 00001000 fe:01 1234                       /data/app.db (deleted)")
	f.Add("- ")
	f.Fuzz(func(t *testing.T, line string) {
		m, err := parseLine(line)
		if err != nil {
			if m.lo != 0 || m.hi != 0 || m.path != "" {
				t.Errorf("%q: %v, but %+v", line, err, m)
			}
			return
		}
		if again, err := parseLine(m.line()); err != nil || again != m {
			t.Errorf("%q is %+v, but %q is %+v, %v", line, m, m.line(), again, err)
		}
	})
}

// line is m as the kernel writes it (show_map_vma, fs/proc/task_mmu.c).
func (m procMap) line() string {
	flags := []byte("---p")
	for i, c := range []struct {
		prot int
		set  byte
	}{{unix.PROT_READ, 'r'}, {unix.PROT_WRITE, 'w'}, {unix.PROT_EXEC, 'x'}} {
		if m.prot&c.prot != 0 {
			flags[i] = c.set
		}
	}
	if m.shared {
		flags[3] = 's'
	}
	return fmt.Sprintf("%08x-%08x %s %08x %02x:%02x %d  %s", m.lo, m.hi, flags, uint64(m.offset), m.dev>>32, uint32(m.dev), m.inode, m.path)
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
