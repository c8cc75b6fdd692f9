package pprof

import (
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

// Of a region of which a quarter of the blocks is observed, both profiles have values that stand for all of it,
// and say so; a fault from outside of the sample counts nothing.
func TestProfilesOfASampleAreScaled(t *testing.T) {
	b := profiler.NewSnapshotBuilder()
	b.SetTime(time.Unix(1, 0), time.Unix(2, 0), 0, time.Second)
	b.AddRegion(profiler.RegionStats{Name: "cache", Granule: 4096, Size: 64 << 12, Mapped: 64 << 12,
		Sampling: []profiler.SamplingStep{{Since: time.Millisecond, Blocks: 64, Sampled: 16, BlockBytes: 4096}}})
	for i := range 11 {
		f := profiler.Fault{Seq: uint64(i), Time: time.Duration(i+2) * time.Millisecond, Offset: int64(i) << 12, Stall: time.Microsecond, Messages: 1, Weight: 4}
		if i == 10 {
			f.Weight = 0
		}
		b.AddFault(f)
	}
	s := b.Snapshot()
	if e := s.Regions[0].Estimate; e.Faults != 40 || e.Touched != 40*4096 || e.Stall != 40*time.Microsecond || e.FaultsError <= 0 {
		t.Fatalf("estimate %+v", e)
	}
	for name, p := range map[string]*profile.Profile{"working set": ByCode(s), "address space": ByAddress(s)} {
		sum := make([]int64, 3)
		for _, sample := range p.Sample {
			for i, v := range sample.Value {
				sum[i] += v
			}
		}
		if sum[0] != 40 || sum[1] != 40*4096 || sum[2] != 40000 {
			t.Errorf("%s: values add up to %v, want 40, %d and %d", name, sum, 40*4096, 40000)
		}
		if c := strings.Join(p.Comments, "\n"); !strings.Contains(c, "16 of its 64 blocks") || !strings.Contains(c, "(11 seen)") {
			t.Errorf("%s: comments %s", name, c)
		}
	}
}
