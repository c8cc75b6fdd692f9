package bbolttest

import (
	"errors"
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// An owner that moves or grows its mapping with mremap gets what it asked for or EFAULT, as for any
// range of several mappings, and then makes a new one. In both cases the contents are the file's, and
// the new mapping is observed.
func TestOwnerRemaps(t *testing.T) {
	const none, some, all = 0, 3, 1 // every how many-th page is touched before
	for _, c := range []struct {
		name        string
		pages, grow int // grow to so many
		touched     int
		granted     bool // by the kernel, for sure
	}{
		{"armed", 64, 128, none, false},
		{"touched in part", 64, 128, some, false},
		{"touched", 64, 128, all, true},
		// Not one that is touched in part: Linux 6.17 moves several mappings at once, up to the first
		// that is registered with a userfaultfd, and then fails (remap_move, mm/mremap.c). See the caveats.
		{"moved only, armed", 64, 64, none, false},
		{"moved only, touched", 64, 64, all, true},
		{"shorter", 64, 32, some, true},
		{"one page, armed", 1, 8, none, true},
		{"one page, touched", 1, 8, all, true},
		{"one page, moved only", 1, 1, none, true},
		{"two pages, armed", 2, 8, none, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !inChild(t, nil) {
				return
			}
			f := newFile(t, 128)
			b := mapFile(t, f, 0, c.pages, unix.PROT_READ)
			p := start(t, profiler.WithRescan(time.Millisecond))
			r := attach(t, p, f.Name())
			if c.touched != none {
				touch(b, c.touched)
			}
			moved, err := remap(t, b, c.grow)
			if err != nil && !errors.Is(err, unix.EFAULT) || err != nil && c.granted {
				t.Fatal("mremap:", err)
			}
			if err != nil {
				checkPages(t, "after a refused mremap", b, 0)
				unmap(t, b)
				moved = mapFile(t, f, 0, c.grow, unix.PROT_READ)
			}
			checkPages(t, "moved", moved, 0)
			look(t, p, r, f)
			checkPages(t, "found", moved, 0)
			if !observed(t, p, r, moved) {
				t.Error("the new mapping is not observed")
			}
			rearm(t, r)
			checkPages(t, "armed again", moved, 0)
			detach(t, r)
			checkPages(t, "after detaching", moved, 0)
			if v := fileVMAs(t, f.Name()); len(v) != 1 || v[0].lo != addr(moved) || v[0].hi != addr(moved)+uintptr(len(moved)) {
				t.Errorf("mapped at %v, want %x+%x", v, addr(moved), len(moved))
			}
		})
	}
}

// remap asks the kernel to make b so many pages long, elsewhere if need be; always elsewhere when
// that is its length.
func remap(t *testing.T, b []byte, pages int) ([]byte, error) {
	t.Helper()
	flags, to := unix.MREMAP_MAYMOVE, unsafe.Pointer(nil)
	if len(b) == pages*page {
		place := mapAt(t, nil, -1, 0, pages, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		flags, to = flags|unix.MREMAP_FIXED, unsafe.Pointer(&place[0])
	}
	p, err := unix.MremapPtr(unsafe.Pointer(&b[0]), uintptr(len(b)), to, uintptr(pages*page), flags)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), pages*page), nil
}

// A piece of a mapping that its owner moves before it was ever touched, and touches only after the
// profiler has let go.
func TestMovedPieceIsNotLost(t *testing.T) {
	for _, rescan := range []time.Duration{time.Millisecond, never} {
		t.Run(fmt.Sprint("rescan=", rescan), func(t *testing.T) {
			if !inChild(t, nil) {
				return
			}
			f := newFile(t, 64)
			b := mapFile(t, f, 0, 64, unix.PROT_READ|unix.PROT_WRITE)
			p := start(t, profiler.WithRescan(rescan))
			r := attach(t, p, f.Name())
			moved, err := remap(t, b[8*page:16*page], 8)
			if err != nil {
				t.Fatal(err)
			}
			if rescan != never {
				look(t, p, r, f)
			}
			detach(t, r)
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			checkPages(t, "moved", moved, 8)
			checkPages(t, "before it", b[:8*page], 0)
			checkPages(t, "behind it", b[16*page:], 16)
			moved[0] = 77
			got := make([]byte, 1)
			if _, err := f.ReadAt(got, int64(8*page)); err != nil || got[0] != 77 {
				t.Errorf("what was written to the moved piece is not in the file: %d, %v", got[0], err)
			}
		})
	}
}
