//go:build linux && (amd64 || arm64)

package profiler

import (
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// A file on a disk that is mapped for reading and writing shows in every window exactly what was read and what
// was written, under a storm of readers and writers, whether its owner guards the mapping or all threads are
// parked. The mapping is what it was afterwards, and the file has every byte that was written.
func TestFileWindows(t *testing.T) {
	aside(t)
	const pages = 1024
	for _, c := range []struct {
		name string
		opts []RegionOption
	}{
		{"parked", nil},
		{"guarded", []RegionOption{WithGuard(func(critical func()) error { critical(); return nil })}},
	} {
		inChildren(t, "TestFileWindows", c.name, []string{"GOGC=1"}, func(t *testing.T) {
			p := newProfiler(t, WithLogLimit(1<<22))
			collecting(t)
			path := diskFile(t, pages*pageSize)
			f, err := os.Open(path)
			must(t, err)
			defer f.Close()
			b := mapFile(t, path, pages*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			lo, hi := addressOf(b), addressOf(b)+uintptr(len(b))
			before, flags := lines(t, lo, hi), smapsOf(t, b)
			r := attachPath(t, p, path, c.opts...)
			want := windowsOf(t, p, r, b, pageSize, false)
			if after := lines(t, lo, hi); !slices.Equal(before, after) {
				t.Errorf("mappings were %+v and are %+v", before, after)
			}
			if after := smapsOf(t, b); !slices.Equal(flags, after) {
				t.Errorf("mappings were %q and are %q", flags, after)
			}
			got := make([]byte, len(b))
			_, err = f.ReadAt(got, 0) // pread(2), which knows nothing of mappings
			must(t, err)
			if i := different(got, want); i >= 0 {
				t.Errorf("byte %d of the file is %d, want %d", i, got[i], want[i])
			}
			s := p.Snapshot()
			for _, f := range s.Faults {
				if f.Source != SourcePageCache { // it was just written
					t.Fatalf("page %d: %v from %v", f.Offset/int64(pageSize), f.Access, f.Source)
				}
			}
			if g := s.Regions[r.ID()]; g.Rearms != uint64(manyWindows()+1) || g.Left != 0 || !g.Detached {
				t.Errorf("armed %d times, %d pages left, detached: %v", g.Rearms, g.Left, g.Detached)
			}
		})
	}
}
