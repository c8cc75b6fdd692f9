//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// windowsOf runs windows over memory that is a region, under a storm of readers and writers, and wants exactly
// what was touched in each. It returns what the memory then holds, which is no region any more.
func windowsOf(t *testing.T, p *Profiler, r *Region, b []byte, size int, writes bool) (holds []byte) {
	t.Helper()
	k := newTruthOf(r, b, size)
	k.writes = writes
	rearm(t, r)
	k.storm(t, 3)
	rnd := rand.New(rand.NewPCG(3, 9))
	for range manyWindows() {
		k.window(t, p, rnd, 4)
		rearm(t, r)
	}
	k.end(t)
	closeBusy(t, r.Close)
	k.end(t)
	checkSums(t, p.Snapshot())
	return k.now()
}

// Where writes alone are observed, each window has exactly the pages that were written in it, of every kind
// of memory, and the detached memory has no trace of it.
func TestWritesOnlyWindows(t *testing.T) {
	const pages = 1024
	kinds := []struct {
		name string
		make func(t *testing.T) (memory []byte, path string)
	}{
		{"private", func(t *testing.T) ([]byte, string) { return mapMemory(t, pages), "" }},
		{"empty", func(t *testing.T) ([]byte, string) {
			b := mapMemory(t, pages)
			must(t, unix.Madvise(b, unix.MADV_DONTNEED))
			return b, ""
		}},
		{"locked", func(t *testing.T) ([]byte, string) {
			b := mapMemory(t, pages)
			if err := unix.Mlock(b[:16*pageSize]); err != nil {
				t.Skipf("memory cannot be locked here: %v", err)
			}
			return b, ""
		}},
	}
	for _, k := range sharedKinds {
		kinds = append(kinds, struct {
			name string
			make func(t *testing.T) (memory []byte, path string)
		}{k.name, func(t *testing.T) ([]byte, string) {
			b, path := k.make(t, pages)
			copy(b[:pages/2*pageSize], contents(pages/2*pageSize)) // and holes
			return b, path
		}})
	}
	for _, k := range kinds {
		inChild(t, "TestWritesOnlyWindows", k.name, []string{"GOGC=1"}, func(t *testing.T) {
			p := newProfiler(t, WithLogLimit(1<<22))
			needWrites(t)
			collecting(t)
			b, path := k.make(t)
			before := smapsOf(t, b)
			var r *Region
			if path != "" {
				r = attachPath(t, p, path, WithWritesOnly())
			} else {
				r = attachMemory(t, p, b, WithWritesOnly())
			}
			windowsOf(t, p, r, b, pageSize, true)
			if after := smapsOf(t, b); !slices.Equal(before, after) {
				t.Errorf("mappings were %q and are %q", before, after)
			}
		})
	}
	inChild(t, "TestWritesOnlyWindows", "arena", []string{"GOGC=1"}, func(t *testing.T) {
		p := newProfiler(t, WithLogLimit(1<<22))
		needWrites(t)
		collecting(t)
		r := newArena(t, p, "arena", pages*pageSize, WithWritesOnly())
		b := r.Bytes()
		rnd := rand.New(rand.NewPCG(3, 9))
		empty := newTruth(r, b) // as the arena was armed when it was made, with nothing in it
		empty.writes = true
		empty.window(t, p, rnd, 4)
		empty.end(t)
		copy(b, contents(len(b)))
		k := newTruth(r, b)
		k.writes = true
		rearm(t, r)
		k.storm(t, 3)
		for range manyWindows() {
			k.window(t, p, rnd, 4)
			rearm(t, r)
		}
		k.end(t)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		k.end(t)
		checkSums(t, p.Snapshot())
	})
}

func needWrites(t *testing.T) {
	t.Helper()
	if err := uffd.HaveFeatures(uffd.FeatureWPUnpopulated | uffd.FeatureWPHugetlbfsShmem); err != nil {
		t.Skip(err)
	}
}

// A granule of several pages has one first write; what its owner discards is counted, and is observed again
// once it is armed.
func TestWritesOnlyGranulesAndDiscards(t *testing.T) {
	inChild(t, "TestWritesOnlyGranulesAndDiscards", "all", nil, func(t *testing.T) {
		const pages, wide = 1000, 16
		p := newProfiler(t)
		needWrites(t)
		b := mapMemory(t, pages)
		r := attachMemory(t, p, b, WithWritesOnly(), WithRegionGranule(wide*pageSize))
		granules := uint64((pages + wide - 1) / wide)
		for round := range 3 {
			before := p.Snapshot()
			for i := range pages {
				page(b, pages-1-i)[1]++
			}
			s := p.Snapshot().Sub(before)
			if s.Stats.Faults != granules {
				t.Errorf("round %d: %d faults, want %d", round, s.Stats.Faults, granules)
			}
			for _, f := range s.Faults {
				if f.Access != Write || f.Source != SourceMemory {
					t.Errorf("%v from %v", f.Access, f.Source)
				}
			}
			rearm(t, r)
		}
		must(t, unix.Madvise(b[:10*pageSize], unix.MADV_DONTNEED))
		before := p.Snapshot()
		for i := range 10 {
			page(b, i)[1]++
		}
		s := p.Snapshot()
		// The owner goes on when its event was read, which is before that is counted.
		for deadline := time.Now().Add(testproc.Budget(20 * time.Second)); s.Regions[r.ID()].Discarded < 10 && time.Now().Before(deadline); s = p.Snapshot() {
			time.Sleep(time.Millisecond)
		}
		if got := s.Regions[r.ID()].Discarded; got != 10 || s.Sub(before).Stats.Faults != 0 {
			t.Errorf("%d pages discarded, %d faults", got, s.Sub(before).Stats.Faults)
		}
		rearm(t, r)
		for i := range pages {
			page(b, i)[1]++
		}
		if got := p.Snapshot().Sub(s).Stats.Faults; got != granules {
			t.Errorf("%d faults, want %d", got, granules)
		}
		closeBusy(t, r.Close)
	})
}

// Huge pages of a shared mapping are observed as other shared memory is, one by one; private ones
// cannot be moved, so that only their writes can.
func TestHugePages(t *testing.T) {
	const pages = 12
	for _, c := range []struct {
		name   string
		flags  int
		memfd  bool
		writes bool
	}{
		{"shared", unix.MAP_SHARED, false, false},
		{"memfd", unix.MAP_SHARED, true, false},
		{"shared, writes", unix.MAP_SHARED, false, true},
		{"private, writes", unix.MAP_PRIVATE, false, true},
	} {
		inChild(t, "TestHugePages", c.name, []string{"GOGC=1"}, func(t *testing.T) {
			p := newProfiler(t, WithLogLimit(1<<22))
			size := reserveHuge(t, pages)
			fd, path := -1, ""
			flags := c.flags | unix.MAP_ANONYMOUS | unix.MAP_HUGETLB
			if c.memfd {
				fd = newMemfd(t, pages*size, unix.MFD_HUGETLB)
				path, flags = fmt.Sprintf("/proc/self/fd/%d", fd), c.flags
			}
			b := mapKind(t, fd, pages*size, flags)
			opts := []RegionOption{}
			if c.writes {
				needWrites(t)
				opts = append(opts, WithWritesOnly())
			}
			if c.flags&unix.MAP_PRIVATE != 0 {
				if p.eng.UserModeOnly() {
					t.Skip("Stats.UserModeOnly: private memory is not attached")
				}
				_, err := p.AttachMemory("moved", b)
				wantError(t, "private", err, ErrNotSupported, "cannot be moved", "map them shared", "WithWritesOnly")
			}
			fill := func(mod int) { // the pages whose number is less than 3 modulo mod
				want := contents(pages * size)
				for i := range pages {
					if i%mod < 3 {
						copy(b[i*size:(i+1)*size], want[i*size:])
					}
				}
			}
			if c.writes {
				fill(4) // the others are holes
			}
			before := smapsOf(t, b)
			var r *Region
			if path != "" {
				r = attachPath(t, p, path, opts...)
			} else {
				r = attachMemory(t, p, b, opts...)
			}
			if got := p.Granule(r.ID()); got != size {
				t.Errorf("granule of %d bytes, pages of %d", got, size)
			}
			if !c.writes { // what was never touched is zero, and counted as such
				for i := range pages {
					use(b[i*size+i])
				}
				s := p.Snapshot()
				for _, f := range s.Faults {
					if f.Source != SourceZero || f.Access != Read {
						t.Errorf("%v from %v", f.Access, f.Source)
					}
				}
				if len(s.Faults) != pages {
					t.Errorf("%d faults", len(s.Faults))
				}
				fill(3)
			}
			windowsOf(t, p, r, b, size, c.writes)
			if after := smapsOf(t, b); !slices.Equal(before, after) {
				t.Errorf("mappings were %q and are %q", before, after)
			}
		})
	}
}

// reserveHuge adds huge pages to those of the system for the length of the test, and returns their size.
func reserveHuge(t *testing.T, pages int) int {
	t.Helper()
	testproc.HugePages(t, pages, true)
	var size, free int
	text, err := os.ReadFile("/proc/meminfo")
	must(t, err)
	for line := range strings.Lines(string(text)) {
		fmt.Sscanf(line, "Hugepagesize: %d kB", &size)
		fmt.Sscanf(line, "HugePages_Free: %d", &free)
	}
	if size == 0 || free < pages {
		t.Skipf("%d huge pages of %d bytes are needed, %d are free: sysctl -w vm.nr_hugepages=%d", pages, size<<10, free, pages)
	}
	return size << 10
}
