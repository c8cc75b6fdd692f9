//go:build linux && (amd64 || arm64)

package profiler

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

const sourcePages = 200

// Even pages come from the page cache and odd ones from the disk: mincore says before each touch
// which of the two the page is. The file is dropped from the page cache while it is armed.
func TestSources(t *testing.T) {
	path := newFile(t, sourcePages*pageSize)
	p := newProfiler(t)
	r, b := attachRandom(t, p, path)
	halfCached(t, path)
	probe := residencyOf(t, path, sourcePages)
	checkSources(t, p, r, b, func(i int) Source {
		if probe()[i]&1 != 0 {
			return SourcePageCache
		}
		return SourceDisk
	})
}

// Of a file that this user neither owns nor may write, mincore says nothing; the sources are right
// all the same.
func TestSourcesOfAnothersFile(t *testing.T) {
	const env = "FIRSTTOUCH_TEST_FILE"
	if path := os.Getenv(env); path != "" {
		p := newProfiler(t)
		r, b := attachRandom(t, p, path)
		if r.file.mincore {
			t.Fatal("mincore is allowed")
		}
		checkSources(t, p, r, b, func(i int) Source {
			if i%2 == 0 {
				return SourcePageCache
			}
			return SourceDisk
		})
		return
	}
	if os.Getuid() != 0 {
		t.Skip("only root can leave a file to another user")
	}
	path := filepath.Join(testproc.PublicDir(t), "data")
	if err := os.WriteFile(path, contents(sourcePages*pageSize), 0o644); err != nil {
		t.Fatal(err)
	}
	halfCached(t, path)
	testproc.Run(t, t.Name(), []string{env + "=" + path}, time.Minute, testproc.AsUser(nobody))
}

// attachRandom attaches to a mapping without read-ahead, which would cache the next pages too.
func attachRandom(t *testing.T, p *Profiler, path string) (*Region, []byte) {
	t.Helper()
	b := mapFile(t, path, sourcePages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	if err := unix.Madvise(b, unix.MADV_RANDOM); err != nil {
		t.Fatal(err)
	}
	return attach(t, p, path), b
}

// halfCached leaves only the even pages of a file in the page cache.
func halfCached(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fsync(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
	for _, advice := range []int{unix.FADV_DONTNEED, unix.FADV_RANDOM} {
		if err := unix.Fadvise(int(f.Fd()), 0, 0, advice); err != nil {
			t.Fatal(err)
		}
	}
	probe := residencyOf(t, path, sourcePages)
	for i, v := range probe() {
		if v&1 != 0 {
			t.Skipf("page %d of %s is still in memory after posix_fadvise(POSIX_FADV_DONTNEED): set TMPDIR to a directory on a disk", i, path)
		}
	}
	for i := 0; i < sourcePages; i += 2 {
		if _, err := f.ReadAt(make([]byte, 1), int64(i*pageSize)); err != nil {
			t.Fatal(err)
		}
	}
	for i, v := range probe() {
		if v&1 != byte(1-i%2) {
			t.Fatalf("page %d: mincore says %d", i, v&1)
		}
	}
}

// residencyOf returns a function that asks which pages of a file are in the page cache. Its mapping
// has no access rights, so that the profiler leaves it alone.
func residencyOf(t *testing.T, path string, pages int) func() []byte {
	t.Helper()
	b := mapFile(t, path, pages*pageSize, unix.PROT_NONE, unix.MAP_PRIVATE)
	vec := make([]byte, pages)
	return func() []byte {
		_, _, errno := unix.Syscall(unix.SYS_MINCORE, addressOf(b), uintptr(len(b)), uintptr(unsafe.Pointer(&vec[0])))
		if errno != 0 {
			t.Fatal(errno)
		}
		return vec
	}
}

func checkSources(t *testing.T, p *Profiler, r *Region, b []byte, source func(page int) Source) {
	t.Helper()
	var want []Source
	pages := rand.New(rand.NewPCG(8, 9)).Perm(sourcePages)
	for _, i := range pages {
		want = append(want, source(i))
		wordAt(t, b, i*pageSize+64)
	}
	s := p.Snapshot()
	checkSums(t, s)
	if len(s.Faults) != len(want) {
		t.Fatalf("%d faults, want %d", len(s.Faults), len(want))
	}
	count := map[Source]uint64{}
	for k, f := range s.Faults {
		count[f.Source]++
		if int(f.Offset)/pageSize != pages[k] || f.Source != want[k] {
			t.Errorf("fault %d: page %d from %v, want %d from %v", k, int(f.Offset)/pageSize, f.Source, pages[k], want[k])
		}
	}
	if count[SourceDisk] != sourcePages/2 || count[SourcePageCache] != sourcePages/2 {
		t.Errorf("sources %v", count)
	}
	if got := s.Regions[r.ID()]; got.Disk.Count != sourcePages/2 || got.Disk.Sum > got.Stall.Sum {
		t.Errorf("stall %v of %d from disk, %v of %d in all", got.Disk.Sum, got.Disk.Count, got.Stall.Sum, got.Stall.Count)
	}
}
