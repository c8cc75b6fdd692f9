package bbolttest

import (
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// What an owner advised before attaching holds for every page that was touched, and for all of the
// mapping afterwards. VmFlags also tells what may be done with a mapping, and what placeholders have
// and the file must not (no fork, no huge pages).
func TestAdviceSurvives(t *testing.T) {
	for _, c := range []struct {
		name    string
		advice  []int
		granule int
	}{
		{"none", nil, page},
		{"random", []int{unix.MADV_RANDOM}, page},
		{"sequential", []int{unix.MADV_SEQUENTIAL}, 64 << 10},
		{"dontdump", []int{unix.MADV_DONTDUMP}, page},
		{"random and dontdump", []int{unix.MADV_RANDOM, unix.MADV_DONTDUMP}, 64 << 10},
		{"dontfork", []int{unix.MADV_DONTFORK}, page},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !inChild(t, nil) {
				return
			}
			const pages = 256
			f := newFile(t, pages)
			b := mapFile(t, f, 0, pages, unix.PROT_READ)
			for _, a := range c.advice {
				if err := unix.Madvise(b, a); err != nil {
					t.Fatal(err)
				}
			}
			before := fileVMAs(t, f.Name())
			if len(before) != 1 {
				t.Fatalf("mapped as %v", before)
			}
			p := start(t, profiler.WithGranule(c.granule))
			r := attach(t, p, f.Name())
			for range 3 {
				touch(b, 40)
				for i := 0; i < pages; i += 40 {
					v := vmas(t, addr(b[i*page:]), addr(b[i*page:])+1)
					if len(v) != 1 || v[0].inode != before[0].inode || v[0].flags != before[0].flags {
						t.Errorf("touched page %d is mapped as %v, want flags %s", i, v, before[0].flags)
					}
				}
				rearm(t, r)
			}
			touch(b, 7)
			detach(t, r)
			checkPlain(t, f.Name(), before[0])
			checkPages(t, "after detaching", b, 0)
		})
	}
}

// Advice that is given while a mapping is profiled.
func TestAdviceWhileAttached(t *testing.T) {
	if !inChild(t, nil) {
		return
	}
	const pages = 64
	f := newFile(t, pages)
	b := mapFile(t, f, 0, pages, unix.PROT_READ|unix.PROT_WRITE)
	p := start(t)
	r := attach(t, p, f.Name())
	touch(b[:pages/2*page], 5)
	faults := region(t, p, r).Faults
	// Page tables are dropped, nothing is armed or lost by it.
	if err := unix.Madvise(b, unix.MADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	touch(b[:pages/2*page], 5)
	if n := region(t, p, r).Faults; n != faults {
		t.Errorf("%d faults after MADV_DONTNEED, %d before", n, faults)
	}
	if err := unix.Madvise(b, unix.MADV_WILLNEED); err != nil {
		t.Fatal(err)
	}
	checkPages(t, "after advice", b, 0)
	if n := region(t, p, r).Faults; n != pages {
		t.Errorf("%d faults, want %d", n, pages)
	}
	rearm(t, r)
	detach(t, r)
	checkPages(t, "after detaching", b, 0)
}

// Advice that is given while a mapping is profiled holds for all of it afterwards, also for what was touched after the advice,
// and when it was armed again meanwhile.
func TestAdviceGivenWhileAttachedSurvives(t *testing.T) {
	for _, c := range []struct {
		name   string
		advice []int
		flags  []string
	}{
		{"random", []int{unix.MADV_RANDOM}, []string{" rr "}},
		{"sequential", []int{unix.MADV_SEQUENTIAL}, []string{" sr "}},
		{"hugepage", []int{unix.MADV_HUGEPAGE}, []string{" hg "}},
		{"random and hugepage", []int{unix.MADV_RANDOM, unix.MADV_HUGEPAGE}, []string{" rr ", " hg "}},
		{"none", nil, nil},
	} {
		for _, again := range []bool{false, true} {
			name := c.name
			if again {
				name += ", armed again"
			}
			t.Run(name, func(t *testing.T) {
				if !inChild(t, nil) {
					return
				}
				if !queriesMappings() {
					t.Skip("the kernel does not tell of one mapping alone (PROCMAP_QUERY, Linux 6.11)")
				}
				plain := mapFile(t, newFile(t, 1), 0, 1, unix.PROT_READ)
				for _, a := range c.advice {
					if err := unix.Madvise(plain, a); err != nil {
						t.Skipf("the kernel does not know this advice: %v", err)
					}
				}
				const pages = 256
				f := newFile(t, pages)
				b := mapFile(t, f, 0, pages, unix.PROT_READ)
				before := fileVMAs(t, f.Name())
				p := start(t, profiler.WithGranule(page))
				r := attach(t, p, f.Name())
				touch(b, 40)
				for _, a := range c.advice {
					if err := unix.Madvise(b, a); err != nil {
						t.Fatal(err)
					}
				}
				touch(b, 16)
				if again {
					rearm(t, r)
					touch(b, 32)
				}
				detach(t, r)
				after := fileVMAs(t, f.Name())
				if len(after) != 1 || after[0].lo != before[0].lo || after[0].hi != before[0].hi {
					t.Fatalf("mapped as %v", after)
				}
				for _, flag := range []string{" rr ", " sr ", " hg "} {
					if got := strings.Contains(" "+after[0].flags+" ", flag); got != slices.Contains(c.flags, flag) {
						t.Errorf("%s is %t: %s", flag, got, after[0].flags)
					}
				}
				checkPages(t, "after detaching", b, 0)
			})
		}
	}
}

// queriesMappings asks for the mapping that holds an address alone.
func queriesMappings() bool {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return false
	}
	defer maps.Close()
	const size, query = 104, 0xc0686611 // struct procmap_query, PROCMAP_QUERY
	q := [size / 8]uint64{size, 0x10}   // PROCMAP_QUERY_COVERING_OR_NEXT_VMA
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, maps.Fd(), query, uintptr(unsafe.Pointer(&q)))
	return errno == 0
}
