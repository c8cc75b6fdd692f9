package bbolttest

import (
	"testing"

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
