//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// allocated is how many pages of the memory a file holds.
func allocated(t *testing.T, fd int) int {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return int(st.Blocks) * 512 / pageSize
}

// touchSet reads or writes one byte of each page of a set.
func touchSet(b []byte, set []int, write func(i int) bool) {
	for _, i := range set {
		if write(i) {
			page(b, i)[9] = byte(i)
		} else {
			use(page(b, i)[9])
		}
	}
}

// A hole of shared memory that is touched, be it by reading or by writing, gives the file the page that it
// would have got without us, and no other: the same touches of a plain mapping allocate as much.
func TestHolesOfSharedMemory(t *testing.T) {
	for _, granule := range []int{1, 16} {
		inChild(t, "TestHolesOfSharedMemory", fmt.Sprint(granule), nil, func(t *testing.T) {
			const pages = 640
			p := newProfiler(t)
			fd, plainFD := newMemfd(t, pages*pageSize, 0), newMemfd(t, pages*pageSize, 0)
			b := mapKind(t, fd, pages*pageSize, unix.MAP_SHARED)
			plain := mapKind(t, plainFD, pages*pageSize, unix.MAP_SHARED)
			for _, b := range [][]byte{b, plain} {
				smallPages(t, b) // where a huge one goes depends on what lies there already
			}
			rnd := rand.New(rand.NewPCG(1, 2))
			filled := map[int]bool{}
			for _, i := range rnd.Perm(pages)[:pages/4] {
				page(b, i)[0], page(plain, i)[0] = 1, 1
				filled[i] = true
			}
			r := attachPath(t, p, fmt.Sprintf("/proc/self/fd/%d", fd), WithRegionGranule(granule*pageSize))
			set := rnd.Perm(pages)[:pages/2]
			write := func(i int) bool { return i%2 == 0 }
			seen := map[int]Source{} // by granule: what its first touch finds
			for _, i := range set {
				if _, ok := seen[i/granule]; !ok {
					seen[i/granule] = SourceZero
					if filled[i] {
						seen[i/granule] = SourceMemory
					}
				}
			}
			touchSet(b, set, write)
			touchSet(plain, set, write)
			if got, want := allocated(t, fd), allocated(t, plainFD); got != want {
				t.Errorf("%d pages in the file, %d without the profiler", got, want)
			}
			s := p.Snapshot()
			checkSums(t, s)
			if len(s.Faults) != len(seen) {
				t.Errorf("%d faults, want %d", len(s.Faults), len(seen))
			}
			for _, f := range s.Faults {
				i := int(f.Offset) / pageSize
				if want := seen[i/granule]; f.Source != want || f.Access == Write != write(i) {
					t.Errorf("page %d: %v from %v, want it from %v", i, f.Access, f.Source, want)
				}
			}
			closeBusy(t, r.Close)
			if i := different(b, plain); i >= 0 {
				t.Errorf("byte %d is %d, want %d", i, b[i], plain[i])
			}
		})
	}
}

// A full tmpfs, and a file that ends before its mapping does, are answered as without us.
func TestSharedMemoryThatCannotBeHad(t *testing.T) {
	inChild(t, "TestSharedMemoryThatCannotBeHad", "all", nil, func(t *testing.T) {
		const pages = 16
		p := newProfiler(t)
		fd := newMemfd(t, pages*pageSize, 0)
		b := mapKind(t, fd, pages*pageSize, unix.MAP_SHARED)
		copy(b, contents(len(b)))
		r := attachPath(t, p, fmt.Sprintf("/proc/self/fd/%d", fd))
		if err := unix.Ftruncate(fd, pages/2*int64(pageSize)); err != nil {
			t.Fatal(err)
		}
		for i := range pages {
			if got, want := faulty(page(b, i)), i >= pages/2; got != want {
				t.Errorf("page %d: SIGBUS %v, want %v", i, got, want)
			}
		}
		rearm(t, r)
		if err := unix.Ftruncate(fd, pages*int64(pageSize)); err != nil {
			t.Fatal(err)
		}
		want := contents(len(b))
		clear(want[pages/2*pageSize:])
		if i := different(b, want); i >= 0 {
			t.Errorf("byte %d is %d, want %d", i, b[i], want[i])
		}
		if s := p.Snapshot().Stats; s.ResolveErrs != 0 {
			t.Errorf("%d resolves failed: %s", s.ResolveErrs, s.LastError)
		}
		closeBusy(t, r.Close)
	})
}

// What is open for reading only is not taken by userfaultfd: on tmpfs a placeholder covers it, a memfd's
// address is refused with what to do. Each window sees exactly what was touched in it, while other readers go
// on through the arming.
func TestReadOnlySharedMemory(t *testing.T) {
	aside(t)
	inChildren(t, "TestReadOnlySharedMemory", "all", nil, readOnlySharedMemory)
}

func readOnlySharedMemory(t *testing.T) {
	const pages, half, readers, windows = 256, 128, 4, 25
	p := newProfiler(t)
	f := tmpfsFile(t, pages*pageSize)
	whole := contents(pages * pageSize)
	if _, err := f.WriteAt(whole, 0); err != nil {
		t.Fatal(err)
	}
	b := mapFile(t, f.Name(), pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	// What comes first where there is more than one reason.
	byAddress, writes := "open its file for writing", "open its file for writing"
	if p.eng.UserModeOnly() {
		byAddress = "user mode only"
	}
	if p.config.delivery == DeliverySignal {
		writes = "deliver by thread"
	}
	_, err := p.AttachMemory("memory", b)
	wantError(t, "by address", err, ErrNotSupported, byAddress)
	_, err = p.AttachFile(f.Name(), WithWritesOnly())
	wantError(t, "writes only", err, ErrNotSupported, writes)
	flags := smapsOf(t, b)
	r := attachPath(t, p, f.Name())
	t.Cleanup(func() { closeBusy(t, r.Close) }) // before the mapping goes
	// At first nobody else reads.
	for range 3 {
		before := p.Snapshot()
		if i := different(b, whole); i >= 0 {
			t.Fatalf("wrong byte at %d", i)
		}
		if s := p.Snapshot().Sub(before); s.Stats.Faults != pages || s.Faults[0].Source != SourcePageCache {
			t.Errorf("%d faults, the first one from %v", s.Stats.Faults, s.Faults[0].Source)
		}
		rearm(t, r)
	}
	stop := background(t, b[:half*pageSize])
	defer stop()
	rnd := rand.New(rand.NewPCG(5, 7))
	for range windows {
		before := p.Snapshot()
		want := rnd.Perm(half)[:rnd.IntN(half+1)]
		var wg sync.WaitGroup
		for range readers {
			order := rnd.Perm(len(want))
			wg.Go(func() { // all read all of it, so that they meet at pages
				for _, k := range order {
					at := (half + want[k]) * pageSize
					if i := different(b[at:at+pageSize], whole[at:at+pageSize]); i >= 0 {
						t.Errorf("wrong byte at %d", at+i)
					}
				}
			})
		}
		wg.Wait()
		s := p.Snapshot().Sub(before)
		checkWindow(t, s)
		checkUpperHalf(t, s, half, want)
		for _, f := range s.Faults {
			if f.Access != Read || f.Source != SourcePageCache {
				t.Errorf("page %d: %v from %v", f.Offset/int64(pageSize), f.Access, f.Source)
			}
		}
		rearm(t, r)
	}
	stop()
	closeBusy(t, r.Close)
	if after := smapsOf(t, b); !slices.Equal(flags, after) {
		t.Errorf("mappings were %q and are %q", flags, after)
	}
	if i := different(b, whole); i >= 0 {
		t.Errorf("wrong byte at %d", i)
	}
	s := p.Snapshot()
	checkSums(t, s)
	if got := s.Regions[r.ID()]; got.Rearms != 3+windows || s.Stats.ResolveErrs != 0 {
		t.Errorf("armed again %d times, %d resolves failed: %s", got.Rearms, s.Stats.ResolveErrs, s.Stats.LastError)
	}
	if _, err := p.AttachFile(diskFile(t, 1), WithWritesOnly()); !errors.Is(err, ErrNotMapped) {
		t.Error(err)
	}
}
