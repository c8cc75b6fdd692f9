package summary

import (
	"slices"
	"testing"

	"github.com/firsttouch/firsttouch/profiler"
)

func TestSlicesOfARegion(t *testing.T) {
	region := func(size int64, granule int, offsets ...int64) *profiler.RegionStats {
		b := profiler.NewSnapshotBuilder()
		id := b.AddRegion(profiler.RegionStats{Name: "r", Granule: granule, Size: size})
		for _, off := range offsets {
			b.AddFault(profiler.Fault{Region: id, Offset: off})
		}
		return &b.Snapshot().Regions[id]
	}
	sum := func(s []int64) (n int64) {
		for _, v := range s {
			n += v
		}
		return n
	}
	for _, tt := range []struct {
		name  string
		r     *profiler.RegionStats
		first []int64 // the first slices
		sum   int64
	}{
		{"empty", region(0, 4096), []int64{0}, 0},
		{"one slice each", region(64*4096, 4096, 0, 8192), []int64{4096, 0, 4096}, 8192},
		{"a granule over all slices", region(4096, 4096, 5), []int64{64, 64}, 4096},
		{"a granule that ends behind the region", region(100, 4096, 0), []int64{2, 2}, 100},
		{"a granule across a border", region(64*6144, 4096, 4096), []int64{2048, 2048, 0}, 4096},
	} {
		got := slicesOf(tt.r)
		if len(got) != regionSlices || !slices.Equal(got[:len(tt.first)], tt.first) || sum(got) != tt.sum {
			t.Errorf("%s: %v, sum %d, want %v... and %d", tt.name, got, sum(got), tt.first, tt.sum)
		}
	}
}
