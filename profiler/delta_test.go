package profiler

import (
	"slices"
	"testing"
)

// The difference of two snapshots is what a snapshot of only the faults in between would be.
func TestSub(t *testing.T) {
	whole, rest := someBuilder(t), someBuilder(t)
	faults := someFaults(3, 900)
	for _, f := range faults[:500] {
		whole.AddFault(f)
	}
	whole.SetStats(Stats{Dropped: 10, StacksMissed: 1, Overhead: 100, Stops: 1, Stopped: 7})
	whole.AddRegion(RegionStats{Name: "late", Granule: 4096, Size: 4096})
	old := whole.Snapshot()
	for _, f := range faults[500:] {
		whole.AddFault(f)
		rest.AddFault(f)
	}
	whole.SetStats(Stats{Dropped: 15, StacksMissed: 4, Overhead: 300, Stops: 4, Stopped: 20})
	d, want := whole.Snapshot().Sub(old), rest.Snapshot()
	if !slices.Equal(d.Faults, want.Faults) {
		t.Errorf("%d faults, want %d", len(d.Faults), len(want.Faults))
	}
	for i := range want.Regions {
		got, want := d.Regions[i], want.Regions[i]
		if got.Faults != want.Faults || got.Messages != want.Messages || got.Touched != want.Touched ||
			got.Stall.Count != want.Stall.Count || got.Stall.Sum != want.Stall.Sum || got.Disk.Count != want.Disk.Count {
			t.Errorf("%s: %+v, want %+v", got.Name, got, want)
		}
		if !slices.Equal(slices.Collect(got.TouchedGranules), slices.Collect(want.TouchedGranules)) {
			t.Errorf("%s: other granules", got.Name)
		}
	}
	key := func(g Group) groupKey { return groupKey{g.Region, g.Stack, g.Access, g.Source, g.Actor} }
	for _, g := range want.Groups {
		i := slices.IndexFunc(d.Groups, func(o Group) bool { return key(o) == key(g) })
		if i < 0 {
			t.Errorf("group %+v is missing", g)
			continue
		}
		// The longest stall of a difference is only bounded.
		if o := d.Groups[i]; o.Faults != g.Faults || o.Bytes != g.Bytes || o.Stall != g.Stall || o.Max < g.Max || o.Max > o.Stall {
			t.Errorf("group %+v, want %+v", o, g)
		}
	}
	if len(d.Groups) != len(want.Groups) || !slices.Equal(d.Threads, want.Threads) {
		t.Errorf("%d groups of %d, threads %+v, want %+v", len(d.Groups), len(want.Groups), d.Threads, want.Threads)
	}
	if s := d.Stats; s.Faults != 405 || s.Records != 400 || s.Dropped != 5 || s.StacksMissed != 3 || s.Overhead != 200 || s.Stops != 3 || s.Stopped != 13 ||
		s.Unattributed != want.Stats.Unattributed || s.Stacks != want.Stats.Stacks || s.Messages != want.Stats.Messages {
		t.Errorf("%+v", s)
	}
	if d.Start != old.End || d.StartMono != old.EndMono {
		t.Errorf("begins at %v, %v", d.Start, d.StartMono)
	}
}

// A snapshot less itself is empty, and less an empty one is itself.
func TestSubOfNothing(t *testing.T) {
	b := someBuilder(t)
	nothing := b.Snapshot()
	for _, f := range someFaults(4, 300) {
		b.AddFault(f)
	}
	s := b.Snapshot()
	none := s.Sub(s)
	if len(none.Faults) != 0 || len(none.Groups) != 0 || len(none.Threads) != 0 || none.Stats.Faults != 0 {
		t.Errorf("less itself: %d faults, %d groups, %d threads, %+v", len(none.Faults), len(none.Groups), len(none.Threads), none.Stats)
	}
	for _, r := range none.Regions {
		if r.Faults != 0 || r.Touched != 0 || r.Stall.Max != 0 || r.TouchedAt(0) {
			t.Errorf("less itself: %+v", r)
		}
	}
	all := s.Sub(nothing)
	if !slices.Equal(all.Faults, s.Faults) || !slices.Equal(all.Groups, s.Groups) || !slices.Equal(all.Threads, s.Threads) || all.Regions[1].Touched != s.Regions[1].Touched {
		t.Error("less nothing: not the same")
	}
	if st := all.Stats; st.Faults != s.Stats.Faults || st.Messages != s.Stats.Messages {
		t.Errorf("less nothing: %+v", st)
	}
}
