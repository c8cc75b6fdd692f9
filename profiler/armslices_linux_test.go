//go:build linux && (amd64 || arm64)

package profiler

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Large shared memory is armed in slices, each page once, whatever the granule and the mappings in it.
func TestLargeSharedMemoryIsArmedInSlices(t *testing.T) {
	aside(t)
	inChild(t, "TestLargeSharedMemoryIsArmedInSlices", "all", nil, func(t *testing.T) {
		const size = 96 << 20
		p := newProfiler(t, WithStacks(StacksNone()))
		pages := size / pageSize
		for _, c := range []struct {
			name    string
			granule int
			opts    []RegionOption
		}{{"touches", pageSize, nil}, {"wide", 16 * pageSize, nil}, {"huge granule", 8 << 20, nil}, {"writes", pageSize, []RegionOption{WithWritesOnly()}}} {
			if c.name == "writes" {
				needWrites(t)
			}
			b := mapKind(t, -1, size, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
			for i := range pages {
				page(b, i)[0] = byte(i)
			}
			r := attachMemory(t, p, b, append(c.opts, WithName(c.name), WithRegionGranule(c.granule))...)
			for range 3 {
				// Two mappings more, that begin in the middle of a wide granule.
				must(t, unix.Mprotect(b[33*pageSize:35*pageSize], unix.PROT_READ))
				rearm(t, r)
				must(t, unix.Mprotect(b[33*pageSize:35*pageSize], unix.PROT_READ|unix.PROT_WRITE))
				before := p.Snapshot()
				for i := range pages {
					if page(b, i)[0] != byte(i) {
						t.Fatalf("%s: page %d holds %d", c.name, i, page(b, i)[0])
					}
					page(b, i)[0] = byte(i)
				}
				s := p.Snapshot().Sub(before)
				if want := uint64(size / c.granule); s.Stats.Faults != want {
					t.Errorf("%s: %d faults, want %d", c.name, s.Stats.Faults, want)
				}
			}
			closeBusy(t, r.Close)
			must(t, unix.MunmapPtr(unsafe.Pointer(&b[0]), size))
		}
		if s := p.Snapshot().Stats; s.ResolveErrs != 0 {
			t.Errorf("%d failed: %s", s.ResolveErrs, s.LastError)
		}
	})
}
