package bbolttest

import (
	"errors"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

const never = time.Hour // a rescan that is not to come

// An owner unmaps its file and the addresses become somebody else's: nothing that the profiler does
// later may change a byte there.
func TestForeignMemoryAtTheSamePlace(t *testing.T) {
	for _, c := range []struct {
		name   string
		rescan time.Duration
	}{{"found by looking", time.Millisecond}, {"not looked for", never}} {
		t.Run(c.name, func(t *testing.T) {
			if !inChild(t, nil) {
				return
			}
			const pages = 128
			f := newFile(t, pages)
			stay := mapFile(t, f, 0, pages, unix.PROT_READ)
			whole := mapFile(t, f, 0, pages, unix.PROT_READ)
			cut := mapFile(t, f, 0, pages, unix.PROT_READ)
			p := start(t, profiler.WithRescan(c.rescan))
			r := attach(t, p, f.Name())
			for _, b := range [][]byte{stay, whole, cut} {
				touch(b, 5)
			}
			unmap(t, whole)
			hole := cut[30*page : 90*page] // armed and touched pages, across the middle
			unmap(t, hole)
			taken := [][]byte{foreign(t, whole), foreign(t, hole)}
			check := func(when string) {
				t.Helper()
				for _, b := range taken {
					checkForeign(t, when, b)
				}
				checkPages(t, when, stay, 0)
				checkPages(t, when, cut[:30*page], 0)
				checkPages(t, when, cut[90*page:], 90)
			}
			check("at once")
			if c.rescan != never {
				for range 3 {
					look(t, p, r, f)
					check("after a look")
				}
				if !observed(t, p, r, cut[:30*page]) || !observed(t, p, r, cut[90*page:]) {
					t.Error("what is left of a cut mapping is not observed")
				}
				if observed(t, p, r, whole[:page]) || observed(t, p, r, hole[:page]) {
					t.Error("memory of somebody else is said to be observed")
				}
			}
			rearm(t, r)
			check("armed again")
			detach(t, r)
			check("after detaching")
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			check("after the end")
			checkPlain(t, f.Name(), fileVMAs(t, f.Name())...)
		})
	}
}

// The neighbour of a touched page may have become somebody else's without notice: what one fault
// opens beyond the page must leave it alone, be it the rest of a granule or what is widened when
// mappings run out.
func TestGranuleWithForeignMemory(t *testing.T) {
	for _, c := range []struct {
		name    string
		granule int
		fill    bool
	}{{"granule=64K", 64 << 10, false}, {"granule=1M", 1 << 20, false}, {"widened", page, true}, {"widened,granule=64K", 64 << 10, true}} {
		t.Run(c.name, func(t *testing.T) {
			if !inChild(t, nil) {
				return
			}
			const pages = 512
			f := newFile(t, pages)
			b := mapFile(t, f, 0, pages, unix.PROT_READ)
			p := start(t, profiler.WithRescan(never), profiler.WithGranule(c.granule))
			r := attach(t, p, f.Name())
			if c.fill {
				fillMappings(t)
				next := newFile(t, 1)
				mapFile(t, next, 0, 1, unix.PROT_READ)
				if _, err := p.AttachFile(next.Name()); !errors.Is(err, profiler.ErrTooMany) { // which counts the mappings
					t.Errorf("attached where few mappings are left, or failed otherwise: %v", err)
				}
			}
			gone := [][]byte{b[3*page : 5*page], b[255*page : 258*page], b[pages*page-page:]}
			for _, h := range gone {
				unmap(t, h)
				foreign(t, h)
			}
			check := func(when string) {
				t.Helper()
				next := 0
				for _, h := range gone {
					first := int(addr(h)-addr(b)) / page
					checkPages(t, when, b[next*page:first*page], next)
					checkForeign(t, when, h)
					next = first + len(h)/page
				}
			}
			check("while attached")
			if s := region(t, p, r); c.fill && s.Widened == 0 {
				t.Error("nothing was widened: the test did not come to its point")
			} else if s.Faults == 0 {
				t.Error("no fault was seen")
			}
			detach(t, r)
			check("after detaching")
		})
	}
}

// fillMappings uses up the mappings that a process may have, but for a part of the margin that the profiler leaves to it: no
// more files are attached, and granules of those that are, widened from the first one on.
func fillMappings(t *testing.T) {
	t.Helper()
	most := maxMapCount(t) - 3000
	b, err := unix.Mmap(-1, 0, most*page, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(b) })
	for i := 0; i < most; i += 2 {
		if err := unix.Mprotect(b[i*page:(i+1)*page], unix.PROT_READ); err != nil {
			t.Fatal(err)
		}
	}
}
