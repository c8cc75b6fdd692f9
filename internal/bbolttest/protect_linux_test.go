package bbolttest

import (
	"fmt"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// The owner may change what can be done with its mapping while it is profiled, in any state of its
// pages: touched, armed, armed again, given back.
func TestProtectionChanges(t *testing.T) {
	for _, granule := range []int{page, 64 << 10} {
		t.Run(fmt.Sprintf("granule=%dK", granule>>10), func(t *testing.T) {
			if inChild(t, nil) {
				protection(t, granule)
			}
		})
	}
}

func protection(t *testing.T, granule int) {
	const pages = 256
	f := newFile(t, pages)
	b := mapFile(t, f, 0, pages, unix.PROT_READ)
	p := start(t, profiler.WithGranule(granule), profiler.WithRescan(time.Millisecond))
	r := attach(t, p, f.Name())
	protect := func(prot int) {
		t.Helper()
		if err := unix.Mprotect(b, prot); err != nil {
			t.Fatal(err)
		}
	}
	// Every page is written once, in one of the states; a page that may not be written kills
	// this process.
	states := []struct {
		name  string
		enter func()
	}{
		{"armed and touched", func() { touch(b, 40) }},
		{"touched after the change", func() { touch(b, 3) }},
		{"armed again", func() { rearm(t, r) }},
		{"looked for", func() { look(t, p, r, f) }},
		{"given back", func() { detach(t, r) }},
	}
	touch(b, 32)
	protect(unix.PROT_READ | unix.PROT_WRITE)
	for n, s := range states {
		t.Log(s.name)
		s.enter()
		for i := n; i < pages; i += len(states) {
			b[i*page+8] = byte(n) + 100
		}
	}
	got := make([]byte, 1)
	for i := range pages {
		if _, err := f.ReadAt(got, int64(i*page+8)); err != nil || got[0] != byte(i%len(states))+100 {
			t.Errorf("page %d: the file has %d (%v)", i, got[0], err)
		}
	}
	if v := vmas(t, addr(b), addr(b)+uintptr(len(b))); len(v) != 1 || v[0].perms != "rw-s" {
		t.Errorf("after detaching: %v", v)
	}
}

// Rights that the owner takes away are gone for pages that are armed, too: what was a fault of a
// stray write stays one.
func TestProtectionIsTakenAway(t *testing.T) {
	if !inChild(t, nil) {
		return
	}
	const pages = 64
	f := newFile(t, pages)
	b := mapFile(t, f, 0, pages, unix.PROT_READ|unix.PROT_WRITE)
	p := start(t)
	r := attach(t, p, f.Name())
	touch(b, 4)
	protect := func(prot int) {
		t.Helper()
		if err := unix.Mprotect(b, prot); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when, perms string) {
		t.Helper()
		next := addr(b)
		for _, v := range vmas(t, next, next+uintptr(len(b))) {
			if v.lo > next || v.perms[:3] != perms {
				t.Errorf("%s: from %x on it is mapped as %v, want %s", when, next, v, perms)
			}
			next = v.hi
		}
		if next < addr(b)+uintptr(len(b)) {
			t.Errorf("%s: nothing is mapped from %x on", when, next)
		}
	}
	protect(unix.PROT_READ)
	touch(b, 3)
	check("read-only", "r--")
	rearm(t, r)
	touch(b, 3)
	check("read-only, second window", "r--")
	protect(unix.PROT_READ | unix.PROT_WRITE)
	touch(b, 2)
	check("writable again", "rw-")
	protect(unix.PROT_NONE)
	check("nothing", "---")
	for i := range pages {
		if fault, _ := faults(&b[i*page]); !fault {
			t.Errorf("page %d can be read", i)
		}
	}
	protect(unix.PROT_READ)
	rearm(t, r)
	checkPages(t, "readable again", b, 0)
	check("readable again", "r--")
	rearm(t, r)
	detach(t, r)
	check("after detaching", "r--")
	checkPages(t, "after detaching", b, 0)
}
