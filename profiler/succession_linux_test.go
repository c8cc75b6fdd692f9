//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/testproc"
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
				r.p.look()
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
					p.look()
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
	file := engine.File{Region: r.eng, Granule: uintptr(pageSize), Sample: r.sample(r.limit), Lo: addressOf(b), Hi: addressOf(b) + uintptr(len(b)), Dev: id.dev, Inode: id.inode, Prot: unix.PROT_READ}
	c := p.eng.Cover([]engine.File{file}, func(*engine.Target) {
		// The duplicate exists, of the file that passes by.
		if _, err := unix.MmapPtr(int(f.Fd()), 0, unsafe.Pointer(&b[0]), uintptr(len(b)), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_FIXED); err != nil {
			t.Fatal(err)
		}
	}, nil, func([]*engine.Target, time.Duration) {})[0]
	if c.Err == nil {
		p.eng.Uncover([]*engine.Target{c.Target}, nil, func([]*engine.Target, time.Duration) {})
	}
	if !errors.Is(c.Err, engine.ErrGone) {
		t.Fatalf("covered with another file's duplicate: %v", c.Err)
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

// Files come and go at the same addresses, several at once, while their regions are looked at and closed: each has its
// own contents. The engine's own memory takes the addresses too.
func TestFilesComeAndGo(t *testing.T) {
	const goroutines = 8
	files := testproc.Times(8, 100)
	p := newProfiler(t, WithRescan(time.Millisecond))
	dir := t.TempDir()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range files {
				path := filepath.Join(dir, fmt.Sprintf("%d-%d", g, i))
				want := bytes.Repeat(fmt.Appendf(nil, "%4d%4d", g, i), 8*pageSize/8)
				if err := os.WriteFile(path, want, 0o644); err != nil {
					t.Error(err)
					return
				}
				b, r := comeAndGo(t, p, path, want)
				if b == nil {
					return
				}
				if err := unix.Munmap(b); err != nil {
					t.Error(err)
				}
				if i%2 == 0 { // else a look at the mappings finds it
					if err := r.Close(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}

// comeAndGo maps a file, attaches it, and reads all but its last page.
func comeAndGo(t *testing.T, p *Profiler, path string, want []byte) ([]byte, *Region) {
	f, err := os.Open(path)
	if err != nil {
		t.Error(err)
		return nil, nil
	}
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), 0, len(want), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Error(err)
		return nil, nil
	}
	r, err := attached(func() (*Region, error) { return p.AttachFile(path) })
	if err != nil {
		t.Error(err)
		return nil, nil
	}
	if i := different(b[:len(b)-pageSize], want); i >= 0 && i < len(b)-pageSize {
		t.Errorf("%s: byte %d is of %q", path, i, b[i&^7:i&^7+8])
		return nil, nil
	}
	return b, r
}

// The list of mappings is older than the duplicates that are made while it is gone through. One of them may lie where
// the list has a mapping that its owner has unmapped since: of the same file, so that only we can tell.
//
// Where a duplicate lies is the kernel's choice: the highest gap that it fits into, which the mappings were given
// before, unless somebody else in the process unmaps something.
func TestDuplicatesAreNotCovered(t *testing.T) {
	const tries = 20
	for range tries {
		if duplicatesInTheList(t) > 0 {
			return
		}
	}
	t.Fatalf("the kernel put no duplicate where a mapping of the list was, %d times", tries)
}

// duplicatesInTheList does it once, and returns how many duplicates lay where a mapping of the list was.
func duplicatesInTheList(t *testing.T) (inside int) {
	t.Helper()
	const pages, mappings = 2, 64
	p := newProfiler(t, WithRescan(time.Hour))
	path := newFile(t, pages*pageSize)
	mapFile(t, path, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	r := attach(t, p, path)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all [][]byte
	for range mappings {
		b, err := unix.Mmap(int(f.Fd()), 0, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	l, err := p.newLook()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < mappings; i += 2 {
		if err := unix.Munmap(all[i]); err != nil {
			t.Fatal(err)
		}
	}
	r.mu.Lock()
	err = r.look(l)
	for _, m := range r.maps {
		for _, o := range r.maps {
			if m.Lo < o.Alias()+(o.Hi-o.Lo) && o.Alias() < m.Hi {
				t.Errorf("%#x-%#x is armed, which is the duplicate of %#x-%#x", m.Lo, m.Hi, o.Lo, o.Hi)
			}
		}
		for i := 0; i < mappings; i += 2 {
			if m.Alias() == addressOf(all[i]) {
				inside++
			}
		}
	}
	r.mu.Unlock()
	if err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow() // touching them would not end well
	}
	for i := 1; i < mappings; i += 2 {
		if j := different(all[i], contents(pages*pageSize)); j >= 0 {
			t.Errorf("mapping %d: byte %d is wrong", i, j)
		}
		if err := unix.Munmap(all[i]); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d duplicates lay where a mapping of the list was", inside)
	return inside
}
