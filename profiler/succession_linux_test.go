//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/engine"
	"golang.org/x/sys/unix"
)

// An owner unmaps one file and maps another where it lay, as allocators of addresses do. The placeholders of both
// look alike, so the first file's region must not take those of the second for its own: it would put its file's
// contents there. That goes for all of its calls, and for a part of the range.
func TestAnotherFileAtTheSamePlace(t *testing.T) {
	const pages = 16
	for _, span := range []struct {
		name   string
		lo, hi int // pages that the second file takes
	}{{"all of it", 0, pages}, {"the middle", 5, 11}, {"the end", 8, pages}} {
		for _, call := range []struct {
			name string
			do   func(*Region) error
		}{
			{"close", (*Region).Close},
			{"rearm", (*Region).Rearm},
			{"look", func(r *Region) error {
				r.p.rescan()
				return nil
			}},
		} {
			t.Run(span.name+"/"+call.name, func(t *testing.T) {
				p := newProfiler(t, WithRescan(time.Hour))
				first := newFile(t, pages*pageSize)
				second := filepath.Join(t.TempDir(), "second")
				other := contents(2 * pages * pageSize)[pages*pageSize:]
				if err := os.WriteFile(second, other, 0o644); err != nil {
					t.Fatal(err)
				}
				b := mapFile(t, first, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
				r := attach(t, p, first)
				wordAt(t, b, pageSize)

				// MAP_FIXED unmaps what lay there.
				f, err := os.Open(second)
				if err != nil {
					t.Fatal(err)
				}
				lo, hi := span.lo*pageSize, span.hi*pageSize
				if _, err := unix.MmapPtr(int(f.Fd()), int64(lo), unsafe.Pointer(&b[lo]), uintptr(hi-lo), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED); err != nil {
					t.Fatal(err)
				}
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
				s := attach(t, p, second)
				if err := call.do(r); err != nil {
					t.Fatal(err)
				}
				want := contents(pages * pageSize)
				copy(want[lo:hi], other[lo:hi])
				if i := different(b, want); i >= 0 {
					t.Errorf("page %d is not of the file that is mapped there", i/pageSize)
				}
				if got := p.Snapshot().Regions[s.ID()].Faults; got != uint64(span.hi-span.lo) {
					t.Errorf("%d first touches of the second file, want %d", got, span.hi-span.lo)
				}
				// What is left of the first is found again, and seen.
				if call.name != "close" {
					p.rescan()
					if err := r.Rearm(); err != nil {
						t.Fatal(err)
					}
					before := p.Snapshot().Regions[r.ID()].Faults
					if i := different(b, want); i >= 0 {
						t.Errorf("armed again: page %d is not of the file that is mapped there", i/pageSize)
					}
					if got, want := p.Snapshot().Regions[r.ID()].Faults-before, uint64(pages-span.hi+span.lo); got != want {
						t.Errorf("%d first touches of what is left of the first file, want %d", got, want)
					}
				}
			})
		}
	}
}

// The duplicate from which pages are restored is made before the other threads are parked. When another file was
// mapped there at that moment only, the mapping is left alone: it would get the contents of that one.
func TestAnotherFileWhileItIsDuplicated(t *testing.T) {
	const pages = 4
	p := newProfiler(t, WithRescan(time.Hour))
	r := attach(t, p, attachedFile(t))
	path := newFile(t, pages*pageSize)
	passing := filepath.Join(t.TempDir(), "passing")
	if err := os.WriteFile(passing, make([]byte, pages*pageSize), 0o644); err != nil {
		t.Fatal(err)
	}
	b := mapFile(t, passing, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	id, _, err := identify(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	file := engine.File{Lo: addressOf(b), Hi: addressOf(b) + uintptr(len(b)), Dev: id.dev, Inode: id.inode, Prot: unix.PROT_READ}
	g, _, err := p.eng.Cover(r.eng, file, uintptr(pageSize), r.sample(r.limit), func(*engine.Target) {
		// The duplicate exists, of the file that passes by.
		if _, err := unix.MmapPtr(int(f.Fd()), 0, unsafe.Pointer(&b[0]), uintptr(len(b)), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED); err != nil {
			t.Fatal(err)
		}
	}, nil)
	if err == nil {
		p.eng.Uncover(g, nil)
	}
	if !errors.Is(err, engine.ErrGone) {
		t.Fatalf("covered with another file's duplicate: %v", err)
	}
	if i := different(b, contents(len(b))); i >= 0 {
		t.Errorf("page %d is not of the file that is mapped there", i/pageSize)
	}
}

// attachedFile is a file that is mapped, for a region.
func attachedFile(t *testing.T) string {
	path := newFile(t, pageSize)
	mapFile(t, path, pageSize, unix.PROT_READ, unix.MAP_SHARED)
	return path
}
