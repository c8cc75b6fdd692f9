//go:build linux && (amd64 || arm64)

package profiler

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What a look has found is observed when Look returns, by who watches and by the regions that are there. It reads the list of
// mappings once for all of them, and for what is attached by it.
func TestLook(t *testing.T) {
	p := newProfiler(t)
	old, fresh := diskFile(t, 4*pageSize), diskFile(t, 4*pageSize)
	mapFile(t, old, 4*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	r, err := p.AttachFile(old)
	if err != nil {
		t.Fatal(err)
	}
	found := make(chan error, 100)
	var second *Region
	p.Watch(func(l *Look) {
		for f, as := range l.Files() {
			if f.Path != fresh || second != nil {
				continue
			}
			if !as.Readable || as.Writable || as.Code {
				t.Errorf("%s is mapped as %+v", fresh, as)
			}
			var err error
			second, err = l.AttachFile(fresh)
			found <- err
		}
	})
	if err := p.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(found) != 0 {
		t.Fatal("a file was found that is not mapped")
	}
	mapFile(t, old, 4*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	mapFile(t, fresh, 4*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	if err := p.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 {
		t.Fatalf("the file that was mapped before was found %d times", len(found))
	}
	if err := <-found; err != nil {
		t.Fatal(err)
	}
	s := p.Snapshot()
	for r, want := range map[*Region]int{r: 2, second: 1} {
		if have := len(s.Regions[r.ID()].Mappings); have != want {
			t.Errorf("%d mappings of %s are observed, want %d", have, r.Name(), want)
		}
	}
	if late := s.Regions[second.ID()].Mappings[0].Latency; late <= 0 {
		t.Errorf("a file that was mapped between two looks was unseen for %v", late)
	}
	if n, _ := p.Looks(); n < 3 {
		t.Errorf("%d looks, want 3 or more", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Look(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, r := range []*Region{r, second} {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Look(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}

// All files that a look finds are attached in one stop of the other threads, those that have gone are given back in one, and so are all
// when the profiler is closed. One that cannot be attached is not in the way of the others.
func TestFilesOfALookTogether(t *testing.T) {
	const files, pages = 9, 4
	p := newProfiler(t, WithRescan(time.Hour))
	stops := func(what string, most uint64, do func()) {
		t.Helper()
		before, reads := p.Snapshot().Stats.Stops, p.mapsReads.Load()
		do()
		s := p.Snapshot()
		if n := s.Stats.Stops - before; n > most {
			t.Errorf("%s: the threads were stopped %d times, want %d at most", what, n, most)
		}
		if n := p.mapsReads.Load() - reads; n > 4 {
			t.Errorf("%s: the mappings were read %d times", what, n)
		}
	}
	var list []FoundFile
	var all [][]byte
	for range files {
		path := diskFile(t, pages*pageSize)
		list = append(list, FoundFile{Path: path})
		all = append(all, mapFile(t, path, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED))
	}
	private := diskFile(t, pageSize)
	mapFile(t, private, pageSize, unix.PROT_READ, unix.MAP_PRIVATE)
	list = slices.Insert(list, 3, FoundFile{Path: private}, FoundFile{Path: diskFile(t, pageSize)})
	var regions []*Region
	var errs []error
	p.Watch(func(l *Look) {
		if regions == nil {
			regions, errs = l.AttachFiles(list)
		}
	})
	stops("attach", 1, func() { must(t, p.Look(t.Context())) })
	for i := range list {
		switch {
		case i == 3 && !errors.Is(errs[i], ErrNotSupported), i == 4 && !errors.Is(errs[i], ErrNotMapped), i != 3 && i != 4 && errs[i] != nil, (errs[i] == nil) != (regions[i] != nil):
			t.Errorf("file %d: %v, %v", i, regions[i], errs[i])
		}
	}
	regions = slices.DeleteFunc(regions, func(r *Region) bool { return r == nil })
	if len(regions) != files {
		t.Fatalf("%d files are attached, want %d", len(regions), files)
	}
	for i, b := range all {
		if j := different(b, contents(pages*pageSize)); j >= 0 {
			t.Errorf("file %d: byte %d is wrong", i, j)
		}
	}
	check := func(what string, faults uint64, mappings ...int) {
		t.Helper()
		s := p.Snapshot()
		for i, r := range regions {
			x := slices.IndexFunc(s.Regions, func(x RegionStats) bool { return x.ID == r.ID() })
			if x < 0 || s.Regions[x].Name != list[i+2*min(i/3, 1)].Path || s.Regions[x].Faults != faults || len(s.Regions[x].Mappings) != mappings[i%len(mappings)] {
				t.Errorf("%s: region %d is not as it should be", what, i)
			}
		}
	}
	check("attached", pages, 1)
	// Each second one gets another mapping, and the others lose theirs.
	for i := 0; i < files; i += 2 {
		mapFile(t, regions[i].Name(), pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	}
	for i := 1; i < files; i += 2 {
		if _, _, n := unix.Syscall(unix.SYS_MUNMAP, addressOf(all[i]), uintptr(len(all[i])), 0); n != 0 {
			t.Fatal(n)
		}
	}
	stops("come and go", 2, func() { must(t, p.Look(t.Context())) })
	check("come and go", pages, 2, 0)
	stops("close", 1, func() { must(t, p.Close()) })
}
