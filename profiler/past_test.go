package profiler

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// come enters a region of a group and closes it after some faults.
func come(a *aggregate, r *rand.Rand, id RegionID, group string, seq *uint64) (faults, bytes uint64) {
	stats := &RegionStats{ID: id, Name: fmt.Sprint("file ", id), Group: group, Kind: KindAttached, Granule: 4096, Size: 64 << 12}
	a.addRegion(stats)
	for page := range int64(r.IntN(5)) {
		a.observe(Fault{Seq: *seq, Region: id, Offset: page << 12, Stall: time.Duration(r.IntN(1e6)), Stack: StackID(r.IntN(3)), Thread: 7, Weight: 1}, 0)
		*seq++
		faults++
		bytes += 4096
	}
	a.ended(stats, *seq)
	return faults, bytes
}

// Whatever is added up, the sums over each group are those of all regions that there ever were, at each moment and between any
// two; and what is remembered is bounded.
func TestClosedRegionsAddUp(t *testing.T) {
	const rounds, each = 40, 50
	a := newAggregate(1 << 20)
	r := rand.New(rand.NewPCG(3, 4))
	var seq uint64
	faults, bytes := make(map[string]uint64), make(map[string]uint64)
	var past []*Snapshot
	var before []map[string]uint64
	open := &RegionStats{ID: 0, Name: "open", Group: "a", Kind: KindAttached, Granule: 4096, Size: 1 << 20}
	a.addRegion(open)
	next := RegionID(1)
	for round := range rounds {
		for range each {
			group := string(rune('a' + r.IntN(3)))
			f, b := come(a, r, next, group, &seq)
			faults[group] += f
			bytes[group] += b
			next++
		}
		a.add(Fault{Seq: seq, Region: 0, Offset: int64(round) << 12, Weight: 1}, 0)
		seq++
		faults["a"]++
		bytes["a"] += 4096
		held := next - 3
		a.age(seq, func(id RegionID) bool { return id == held }, 0)
		s := a.snapshot(time.Time{}, 0)
		checkGroups(t, s, faults, bytes)
		if s.find(held) == nil {
			t.Fatalf("round %d: a region that is held was added to another", round)
		}
		if most := 2*closedMost + 4 + each; len(s.Regions) > most {
			t.Fatalf("%d regions are listed, at most %d should be", len(s.Regions), most)
		}
		for i, old := range past {
			checkDifference(t, s.Sub(old), faults, before[i])
		}
		now := make(map[string]uint64)
		for k, v := range faults {
			now[k] = v
		}
		past, before = append(past, s), append(before, now)
	}
	if int(seq) != len(a.log) {
		t.Errorf("%d faults are in the log, want %d", len(a.log), seq)
	}
	if got := len(past[0].Regions); len(past[len(past)-1].Regions) > got+2*closedMost {
		t.Errorf("%d regions at first, %d in the end", got, len(past[len(past)-1].Regions))
	}
}

// checkGroups compares the sums of a snapshot over each group, by three ways that the snapshot has them.
func checkGroups(t *testing.T, s *Snapshot, faults, bytes map[string]uint64) {
	t.Helper()
	byRegion, byStack, byLog, touched, stalls := make(map[string]uint64), make(map[string]uint64), make(map[string]uint64), make(map[string]uint64), uint64(0)
	for i := range s.Regions {
		r := &s.Regions[i]
		byRegion[r.Group] += r.Faults
		touched[r.Group] += uint64(r.Touched)
		if r.Faults != r.Stall.Count || uint64(r.Estimate.Faults) != r.Faults || int64(r.Estimate.Touched) != r.Touched {
			t.Fatalf("%d faults, %d stalls, estimated %+v", r.Faults, r.Stall.Count, r.Estimate)
		}
		stalls += r.Stall.Count
	}
	for _, g := range s.Groups {
		byStack[s.RegionOf(g.Region).Group] += g.Faults
	}
	seen := make(map[uint64]bool)
	for _, f := range s.Faults {
		if s.find(f.Region) == nil || seen[f.Seq] {
			t.Fatalf("fault %d is of region %d, or there twice", f.Seq, f.Region)
		}
		seen[f.Seq] = true
		byLog[s.RegionOf(f.Region).Group]++
	}
	for k, want := range faults {
		if byRegion[k] != want || byStack[k] != want || byLog[k] != want || touched[k] != bytes[k] {
			t.Fatalf("group %s: %d faults by region, %d by stack, %d in the log, want %d; %d bytes touched, want %d",
				k, byRegion[k], byStack[k], byLog[k], want, touched[k], bytes[k])
		}
	}
}

// checkDifference compares a difference of snapshots with what there was before.
func checkDifference(t *testing.T, d *Snapshot, now, before map[string]uint64) {
	t.Helper()
	byRegion, byStack := make(map[string]uint64), make(map[string]uint64)
	for i := range d.Regions {
		r := &d.Regions[i]
		byRegion[r.Group] += r.Faults
		if r.Touched < 0 || int64(r.Estimate.Touched) != r.Touched || r.Stall.Count != r.Faults {
			t.Fatalf("region %d: %d bytes touched, estimated %v, %d stalls of %d", r.ID, r.Touched, r.Estimate.Touched, r.Stall.Count, r.Faults)
		}
	}
	for _, g := range d.Groups {
		byStack[d.RegionOf(g.Region).Group] += g.Faults
	}
	for k := range now {
		if want := now[k] - before[k]; byRegion[k] != want || byStack[k] != want {
			t.Fatalf("group %s: %d faults by region and %d by stack between two moments, want %d", k, byRegion[k], byStack[k], want)
		}
	}
}

// A fault that somebody has kept finds its region after that was added to another one, until there were very many more; then it
// is of the group for all others. Groups are bounded too.
func TestRegionsThatHaveGoneAreFound(t *testing.T) {
	a := newAggregate(0)
	r := rand.New(rand.NewPCG(5, 6))
	var seq uint64
	for id := range RegionID(1000) {
		come(a, r, id, "segments", &seq)
		a.age(seq, func(RegionID) bool { return false }, 0)
	}
	s := a.snapshot(time.Time{}, 0)
	for id := range RegionID(1000) {
		if got := s.RegionOf(id); got.Group != "segments" || a.region(id).Group != "segments" {
			t.Fatalf("region %d is %q", id, got.Group)
		}
	}
	if got := s.RegionOf(1 << 30); got.Group != OtherGroup {
		t.Errorf("a region that never was is of group %q", got.Group)
	}
	for i := range 2 * groupsOfRegions {
		if g := a.groupOf(fmt.Sprint(i)); (g == OtherGroup) != (i >= groupsOfRegions) {
			t.Fatalf("group %d is %q", i, g)
		}
	}
	if g := a.groupOf("0"); g != "0" {
		t.Errorf("a group that is known is %q", g)
	}
}

// A list that is cut adds up to all there is.
func TestLargestRegions(t *testing.T) {
	a := newAggregate(0)
	r := rand.New(rand.NewPCG(7, 8))
	var seq uint64
	for id := range RegionID(100) {
		come(a, r, id, fmt.Sprint(id), &seq)
	}
	s := a.snapshot(time.Time{}, 0)
	for _, n := range []int{1, 7, 99, 100, 101} {
		list := s.Largest(n)
		var faults uint64
		var touched int64
		var stall, least time.Duration
		for i := range list {
			faults, touched, stall = faults+list[i].Faults, touched+list[i].Touched, stall+list[i].Stall.Sum
			if i < len(list)-1 && (i == 0 || list[i].Stall.Sum < least) {
				least = list[i].Stall.Sum
			}
		}
		var all time.Duration
		larger := 0
		for i := range s.Regions {
			all += s.Regions[i].Stall.Sum
			if s.Regions[i].Stall.Sum > least {
				larger++
			}
		}
		if len(list) != min(n, 100) || faults != seq || touched != int64(seq)*4096 || stall != all || n > 1 && n < 100 && larger >= n {
			t.Errorf("of %d rows: %d, %d faults of %d, %d bytes, %v of %v, %d are larger than the least listed", n, len(list), faults, seq, touched, stall, all, larger)
		}
		if other := list[len(list)-1].Group == OtherGroup; other != (n < 100) {
			t.Errorf("of %d rows: the last one is %q", n, list[len(list)-1].Name)
		}
	}
}
