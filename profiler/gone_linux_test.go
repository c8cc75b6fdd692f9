//go:build linux && (amd64 || arm64)

package profiler

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// shortLived is a file that is mapped, and what unmaps it.
func shortLived(t testing.TB, path string, pages int) ([]byte, func()) {
	t.Helper()
	if err := os.WriteFile(path, contents(pages*pageSize), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), 0, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	return b, func() {
		if err := unix.Munmap(b); err != nil {
			t.Error(err)
		}
	}
}

// attachNow is AttachFile until the other threads could be stopped.
func attachNow(t testing.TB, p *Profiler, path string, opts ...RegionOption) *Region {
	t.Helper()
	for {
		r, err := p.AttachFile(path, opts...)
		if err == nil {
			return r
		}
		if !errors.Is(err, ErrBusy) {
			t.Fatal(err)
		}
	}
}

// closedBy waits until regions have closed themselves.
func closedBy(t testing.TB, p *Profiler, regions ...*Region) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; {
		if err := p.Look(context.Background()); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(regions, func(r *Region) bool { return !r.Closed() }) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("a region of a file that is gone is still open")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Of files that were mapped, touched, unmapped and deleted nothing is left but their totals: each first touch once, in its group.
func TestDeletedFilesAreRetired(t *testing.T) {
	const files, pages = 150, 3
	p := newProfiler(t, WithRescan(10*time.Millisecond))
	dir := t.TempDir()
	stays := filepath.Join(dir, "stays")
	kept, unmap := shortLived(t, stays, pages)
	defer unmap()
	keep := attachNow(t, p, stays)
	defer keep.Close()
	var regions []*Region
	for i := range files {
		path := filepath.Join(dir, fmt.Sprint(i))
		b, unmap := shortLived(t, path, pages)
		regions = append(regions, attachNow(t, p, path, WithGroup("segments"), UntilUnmapped()))
		for page := range pages {
			if b[page*pageSize+8] == 0 {
				t.Fatal("not what the file holds")
			}
		}
		unmap()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	closedBy(t, p, regions...)
	if kept[0] == 0 {
		t.Fatal("not what the file holds")
	}
	p.ageNow()
	s := p.Snapshot()
	faults, touched, listed := uint64(0), int64(0), 0
	for i := range s.Regions {
		if r := &s.Regions[i]; r.Group == "segments" {
			faults, touched, listed = faults+r.Faults, touched+r.Touched, listed+1
		}
	}
	if faults != files*pages || touched != files*pages*int64(pageSize) || listed >= files || s.RegionOf(keep.ID()).Faults != 1 {
		t.Errorf("%d faults of %d bytes in %d entries, want %d; %d in the file that stays", faults, touched, listed, files*pages, s.RegionOf(keep.ID()).Faults)
	}
	seen := make(map[uint64]int)
	for _, f := range s.Faults {
		seen[f.Seq]++
	}
	if len(seen) != files*pages+1 || len(s.Faults) != len(seen) {
		t.Errorf("%d faults in the log, %d different ones, want %d", len(s.Faults), len(seen), files*pages+1)
	}
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	if len(p.targets) != 1 || len(p.counted) != 1 || len(p.openRegions()) != 1 {
		t.Errorf("%d ranges, %d regions and %d open ones are served, want 1", len(p.targets), len(p.counted), len(p.openRegions()))
	}
}

// A region without UntilUnmapped stays while its file is there, whoever maps it and under whatever name.
func TestFilesThatAreStillThereStay(t *testing.T) {
	p := newProfiler(t, WithRescan(time.Hour))
	dir := t.TempDir()
	path, other := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	b, unmap := shortLived(t, path, 2)
	r := attachNow(t, p, path)
	defer r.Close()
	if b[0] == 0 {
		t.Fatal("not what the file holds")
	}
	// Renamed while it is mapped, with a hard link that has the old name.
	if err := errors.Join(os.Rename(path, other), os.Link(other, path)); err != nil {
		t.Fatal(err)
	}
	if err := p.Look(context.Background()); err != nil || r.Closed() {
		t.Fatalf("%v, closed %v while it is mapped", err, r.Closed())
	}
	if b[pageSize] == 0 {
		t.Fatal("not what the file holds")
	}
	unmap()
	r.mu.Lock()
	r.unmapped = 1 // as if it were unmapped for long
	r.mu.Unlock()
	if err := p.Look(context.Background()); err != nil || r.Closed() {
		t.Fatalf("%v, closed %v though its file is there", err, r.Closed())
	}
	again := mapFile(t, other, 2*pageSize, unix.PROT_READ, unix.MAP_SHARED) // by its other name
	if err := p.Look(context.Background()); err != nil {
		t.Fatal(err)
	}
	if again[0] == 0 || again[pageSize] == 0 {
		t.Fatal("not what the file holds")
	}
	if s := p.Snapshot().RegionOf(r.ID()); s.Faults != 4 || s.Touched != 2*int64(pageSize) {
		t.Errorf("%d faults of %d bytes, want 4 of 2 pages", s.Faults, s.Touched)
	}
}

// A file of the same name, or with the number of one that is gone, is another file: it is attached as such, and what is of the
// first one stays that one's.
func TestNamesAndNumbersAreUsedAgain(t *testing.T) {
	p := newProfiler(t, WithRescan(time.Hour))
	path := filepath.Join(t.TempDir(), "wal")
	var ids []RegionID
	for i := range 5 {
		b, unmap := shortLived(t, path, i+1)
		r := attachNow(t, p, path)
		ids = append(ids, r.ID())
		for page := range i + 1 {
			if b[page*pageSize] == 0 && page > 0 {
				t.Fatal("not what the file holds")
			}
		}
		_ = b[0]
		unmap()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := p.Look(context.Background()); err != nil { // sees that the mapping has gone, and not yet for long
			t.Fatal(err)
		}
	}
	if slices.Sort(ids); len(slices.Compact(slices.Clone(ids))) != 5 {
		t.Errorf("the files were regions %v, want each one of its own", ids)
	}
	s := p.Snapshot()
	for i, id := range ids {
		if r := s.RegionOf(id); r.Faults == 0 || r.Touched != int64(r.Faults)*int64(pageSize) || r.Name != path || r.Faults > uint64(i+1) {
			t.Errorf("file %d: %d faults, %d bytes touched, %q", i, r.Faults, r.Touched, r.Name)
		}
	}
	if id, _, err := identify(os.Args[0]); err != nil {
		t.Fatal(err)
	} else if id.handle != "" {
		other := *id
		other.handle += "another"
		if other.isAt(id.path) || !other.taken(id.path) || !id.isAt(id.path) || id.taken(id.path) {
			t.Error("a number that is another file's now is not told from the first one's")
		}
	}
}

// What files leave behind that came and went is bounded: as many again take no more memory, no more mappings, and no more of the engine's
// numbers than the first did.
func TestMemoryOfFilesThatCameAndWent(t *testing.T) {
	files := testproc.Times(2*closedMost+20, 3_500)
	p := newProfiler(t, WithRescan(time.Hour), WithLogLimit(64)) // the log has a bound of its own, and is full after the first round
	dir := t.TempDir()
	round := func(n int) (heap uint64, mappings, targets int) {
		for i := range files {
			path := filepath.Join(dir, fmt.Sprintf("%d-%d", n, i))
			b, unmap := shortLived(t, path, 2)
			r := attachNow(t, p, path, WithGroup("segments"))
			if b[0] != 1 {
				t.Fatal("not what the file holds")
			}
			unmap()
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			for err := r.Close(); err != nil; err = r.Close() {
				if !errors.Is(err, ErrBusy) {
					t.Fatal(err)
				}
			}
		}
		p.Flush()
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		list, err := readMaps()
		must(t, err)
		p.foldMu.Lock()
		defer p.foldMu.Unlock()
		return m.HeapAlloc, len(list), len(p.targets)
	}
	round(0) // until what is kept of the latest is full
	heap, mappings, targets := round(1)
	heapAgain, mappingsAgain, targetsAgain := round(2)
	t.Logf("after %d files %d KiB of heap, %d mappings, %d targets; after as many again %d KiB, %d, %d", 2*files, heap>>10, mappings, targets, heapAgain>>10, mappingsAgain, targetsAgain)
	// What remembers where their totals have gone takes 8 bytes a region, up to movedMost of them.
	if grown := int64(heapAgain) - int64(heap); grown > int64(files)*32+1<<20 {
		t.Errorf("the heap has grown by %d KiB", grown>>10)
	}
	if mappingsAgain > mappings+32 || targetsAgain > targets+8 {
		t.Errorf("%d mappings, %d before; %d targets, %d before", mappingsAgain, mappings, targetsAgain, targets)
	}
}
