package bbolttest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/internal/procmaps"
	"golang.org/x/sys/unix"
)

// vma is a mapping of this process, as /proc/self/smaps shows it.
type vma struct {
	lo, hi uintptr
	perms  string
	offset uint64
	inode  uint64
	flags  string // VmFlags, less what only tells that the mapping is young
	dirty  int    // KiB
}

func (v vma) String() string {
	return fmt.Sprintf("%x-%x %s %x inode %d flags %s", v.lo, v.hi, v.perms, v.offset, v.inode, v.flags)
}

// vmas lists the mappings that overlap [lo, hi).
func vmas(t *testing.T, lo, hi uintptr) (list []vma) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	in := false
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		line := sc.Text()
		if l, _, err := procmaps.Parse(sc.Bytes()); err == nil {
			if in = l.Lo < hi && lo < l.Hi; in {
				list = append(list, vma{lo: l.Lo, hi: l.Hi, perms: strings.Fields(line)[1], offset: l.Offset, inode: l.Inode})
			}
			continue
		}
		if !in {
			continue
		}
		last := &list[len(list)-1]
		var kb int
		if flags, ok := strings.CutPrefix(line, "VmFlags: "); ok {
			last.flags = strings.Join(slices.DeleteFunc(strings.Fields(flags), func(f string) bool { return f == "sd" }), " ")
		} else if n, _ := fmt.Sscanf(line, "Shared_Dirty: %d kB", &kb); n == 1 {
			last.dirty += kb
		} else if n, _ := fmt.Sscanf(line, "Private_Dirty: %d kB", &kb); n == 1 {
			last.dirty += kb
		}
	}
	return list
}

// fileVMAs lists every mapping that this process has of the file.
func fileVMAs(t *testing.T, path string) []vma {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(vmas(t, 0, ^uintptr(0)), func(v vma) bool { return v.inode != st.Ino })
}

// checkPlain asserts that the file's mappings are the wanted ones: none of the profiler's own, and no
// placeholder left.
func checkPlain(t *testing.T, path string, want ...vma) {
	t.Helper()
	got := fileVMAs(t, path)
	same := func(a, b vma) bool { a.dirty, b.dirty = 0, 0; return a == b }
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("the mappings of the file are\n%v\nwant\n%v", got, want)
	}
	for _, w := range want {
		if got := vmas(t, w.lo, w.hi); len(got) != 1 || !same(got[0], w) {
			t.Errorf("at %x-%x is %v", w.lo, w.hi, got)
		}
	}
}

// maxMapCount is how many mappings a process may have.
func maxMapCount(t *testing.T) (n int) {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/vm/max_map_count")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(b), &n); err != nil {
		t.Fatal(err)
	}
	return n
}
