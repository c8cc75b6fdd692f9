//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// granules are those of the tests: from one page to 1 MiB.
func granules() (list []int) {
	for g := pageSize; g <= 1<<20; g *= 4 {
		list = append(list, g)
	}
	return append(list, 1<<20)
}

// With any granule, one fault a granule, also for the last one, which the region's end cuts short.
func TestGranules(t *testing.T) {
	for _, granule := range granules() {
		t.Run(fmt.Sprint(granule/1024, "K"), func(t *testing.T) {
			p := newProfiler(t, WithGranule(granule))
			size := 5*granule + 3*pageSize
			want := (size + granule - 1) / granule
			a := newArena(t, p, "arena", size)
			path := newFile(t, size-100)
			f, err := p.MapFile(path)
			if err != nil {
				t.Fatal(err)
			}
			addresses := map[RegionID]map[int64]bool{}
			rnd := rand.New(rand.NewPCG(3, uint64(granule)))
			for _, i := range rnd.Perm(size / pageSize) {
				offset := int64(i*pageSize + 8*rnd.IntN(pageSize/8-16))
				for _, r := range []*Region{a, f} {
					before := p.Snapshot().Regions[r.ID()].TouchedAt(offset)
					sink = r.Bytes()[offset]
					if !before {
						if addresses[r.ID()] == nil {
							addresses[r.ID()] = map[int64]bool{}
						}
						addresses[r.ID()][offset] = true
					}
				}
			}
			s := p.Snapshot()
			checkSums(t, s)
			for i, full := range []int{size, size - 100} {
				r := s.Regions[i]
				if r.Faults != uint64(want) || r.Touched != int64(full) || r.Mapped != int64(full) || r.Granule != granule {
					t.Errorf("%s: %d faults, touched %d of %d, granule %d; want %d, %d", r.Name, r.Faults, r.Touched, r.Mapped, r.Granule, want, full)
				}
				var bytes uint64
				for _, g := range s.Groups {
					if g.Region == r.ID {
						bytes += g.Bytes
					}
				}
				if bytes != uint64(full) {
					t.Errorf("%s: groups hold %d bytes, want %d", r.Name, bytes, full)
				}
			}
			for _, f := range s.Faults {
				if !addresses[f.Region][f.Offset] {
					t.Errorf("fault at offset %d of region %d, which was not the first touch of its granule", f.Offset, f.Region)
				}
			}
			if !bytes.Equal(f.Bytes(), contents(size-100)) {
				t.Error("the file's contents are not its own")
			}
			if !bytes.Equal(a.Bytes(), make([]byte, size)) {
				t.Error("the arena is not zero")
			}
		})
	}
}

// The granules of a mapping are those of its file, also when it begins and ends in the middle of one.
func TestGranulesOfAMappingInsideAFile(t *testing.T) {
	const granule, skip, pages = 16, 5, 40
	path := newFile(t, 48*pageSize)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), int64(skip*pageSize), pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(b) })
	p := newProfiler(t, WithGranule(granule*pageSize))
	r := attach(t, p, path)
	faults := uint64(0)
	for _, touch := range []struct {
		page  int // of the file
		fault uint64
	}{{15, 1}, {16, 1}, {5, 0}, {14, 0}, {31, 0}, {44, 1}, {32, 0}, {20, 0}} {
		sink += page(b, touch.page-skip)[9]
		faults += touch.fault
		if s := p.Snapshot(); s.Stats.Faults != faults {
			t.Errorf("page %d of the file: %d faults, want %d", touch.page, s.Stats.Faults, faults)
		}
	}
	s := p.Snapshot()
	checkSums(t, s)
	if got := s.Regions[r.ID()]; got.Touched != 3*granule*int64(pageSize) || got.Mapped != pages*int64(pageSize) {
		t.Errorf("touched %d of %d mapped", got.Touched, got.Mapped)
	}
	if !bytes.Equal(b, contents(48 * pageSize)[skip*pageSize:(skip+pages)*pageSize]) {
		t.Error("wrong contents")
	}
}

// What the owner of an arena gives back is a first touch again, page by page whatever the granule.
func TestDiscardedPagesAreTouchedAgain(t *testing.T) {
	for _, granule := range []int{pageSize, 16 * pageSize} {
		t.Run(fmt.Sprint(granule/1024, "K"), func(t *testing.T) {
			const pages = 256
			p := newProfiler(t, WithGranule(granule))
			a := newArena(t, p, "arena", pages*pageSize)
			b := a.Bytes()
			touchAll(b, 1)
			once := p.Snapshot()
			if n := uint64(pages * pageSize / granule); once.Stats.Faults != n {
				t.Fatalf("%d faults, want %d", once.Stats.Faults, n)
			}
			var given []int
			for i := 3; i < pages; i += 16 {
				if err := unix.Madvise(page(b, i), unix.MADV_DONTNEED); err != nil {
					t.Fatal(err)
				}
				given = append(given, i)
			}
			for i := range pages {
				want := byte(i)
				if i%16 == 3 {
					want = 0
				}
				if got := b[i*pageSize+i%pageSize]; got != want {
					t.Errorf("page %d: %d, want %d", i, got, want)
				}
			}
			s := p.Snapshot().Sub(once)
			checkSums(t, s)
			if len(s.Faults) != len(given) {
				t.Fatalf("%d faults, want %d", len(s.Faults), len(given))
			}
			for k, f := range s.Faults {
				if f.Offset/int64(pageSize) != int64(given[k]) || f.Source != SourceZero {
					t.Errorf("fault %d at page %d from %v, want page %d", k, f.Offset/int64(pageSize), f.Source, given[k])
				}
			}
			if all := p.Snapshot().Regions[0]; all.Touched != int64(pages*pageSize) {
				t.Errorf("%d bytes touched", all.Touched)
			}
		})
	}
}
