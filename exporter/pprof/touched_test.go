package pprof

import (
	"testing"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

// at tells whether the leaf of a sample is at a code address.
func at(address uint64) func(*profile.Sample) bool {
	return func(s *profile.Sample) bool { return s.Location[0].Address == address }
}

// The touched bytes of a region add up to what was touched, however often it was armed and however
// much of the log is left; faults and stalls are exact throughout.
func TestTouchedIsDistinct(t *testing.T) {
	for room := range 8 {
		s := cut(twice(), room)
		for name, p := range both(s) {
			if got, want := totals(p, nil), [3]int64{7, 5 * 4096, 7000}; got != want {
				t.Errorf("%s with %d of 7 faults in the log: %v, want %v", name, room, got, want)
			}
		}
	}
}

func TestTouchedGoesToTheFirstToucher(t *testing.T) {
	p := ByCode(twice())
	if got := totals(p, at(0x10)); got != [3]int64{4, 4 * 4096, 4000} {
		t.Errorf("the first toucher has %v", got)
	}
	if got := totals(p, at(0x20)); got != [3]int64{3, 4096, 3000} {
		t.Errorf("the second toucher has %v", got)
	}
}

func TestTouchedWithoutAKnownToucher(t *testing.T) {
	p := ByCode(cut(twice(), 3))
	if got := totals(p, under(exporter.FrameNotLogged)); got != [3]int64{0, 2 * 4096, 0} {
		t.Errorf("%v stand under %s", got, exporter.FrameNotLogged)
	}
	if got := totals(p, at(0x20)); got != [3]int64{3, 0, 3000} {
		t.Errorf("the toucher that is not in the log has %v", got)
	}
}

// A file grows: the granule at its old end was counted with the size that it had then.
func TestTouchedOfAGrownFile(t *testing.T) {
	b := profiler.NewSnapshotBuilder()
	r := b.AddRegion(profiler.RegionStats{Name: "f", Kind: profiler.KindMappedFile, Granule: 8192, Size: 8192 + 100})
	x := b.AddStack([]uintptr{0x10})
	b.AddFault(profiler.Fault{Region: r, Offset: 8192, Stack: x, Messages: 1})
	s := b.Snapshot()
	s.Regions[r].Size = 16384
	for name, p := range both(s) {
		if got := totals(p, nil); got != [3]int64{1, 100, 0} {
			t.Errorf("%s: %v", name, got)
		}
		for _, smp := range p.Sample {
			if smp.Value[1] < 0 {
				t.Errorf("%s: a sample of %d bytes", name, smp.Value[1])
			}
		}
	}
}
