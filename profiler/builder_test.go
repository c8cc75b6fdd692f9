package profiler

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// someFaults makes n faults in two regions, the second of which ends in the middle of a granule.
func someFaults(seed uint64, n int) []Fault {
	rnd := rand.New(rand.NewPCG(seed, 0))
	var list []Fault
	for i := range n {
		f := Fault{
			Seq: uint64(i), Time: time.Duration(i), Region: RegionID(rnd.IntN(2)), Stall: time.Duration(rnd.IntN(1e6)),
			Thread: int32(100 + rnd.IntN(3)), Goroutine: rnd.Uint64N(9), Stack: StackID(rnd.IntN(4)), Messages: 1 + rnd.Uint32N(3),
			Access: Access(rnd.IntN(2)), Source: Source(rnd.IntN(4)), Span: SpanRef(rnd.IntN(3)),
		}
		f.Offset = rnd.Int64N(100 << 10)
		if f.Region == 1 {
			f.Offset = rnd.Int64N(1<<20 + 1000)
		}
		f.Weight = 1 // nothing is sampled
		list = append(list, f)
	}
	return list
}

// someBuilder has what someFaults refers to.
func someBuilder(t *testing.T) *SnapshotBuilder {
	b := NewSnapshotBuilder()
	b.SetTime(time.Unix(1, 0), time.Unix(2, 0), 10, 20)
	for i, r := range []RegionStats{
		{Name: "small", Kind: KindArena, Granule: 4096, Size: 100 << 10, Faults: 99, Touched: 99},
		{Name: "large", Kind: KindAttached, Granule: 64 << 10, Size: 1<<20 + 1000, Mapped: 1 << 20, Note: "cut"},
	} {
		if id := b.AddRegion(r); id != RegionID(i) {
			t.Fatalf("region %d is %d", i, id)
		}
	}
	for i := range 3 {
		if id := b.AddStack([]uintptr{uintptr(i + 1), 77}); id != StackID(i+1) {
			t.Fatalf("stack %d is %d", i+1, id)
		}
	}
	for i := range 2 {
		if ref := b.AddSpan(SpanStats{TraceID: [16]byte{1}, SpanID: [8]byte{byte(i + 1)}, Faults: 99}); ref != SpanRef(i+1) {
			t.Fatalf("span %d is %d", i+1, ref)
		}
	}
	return b
}

// What a builder says of faults is what counting them by hand says.
func TestBuilder(t *testing.T) {
	b := someBuilder(t)
	b.SetStats(Stats{Dropped: 3, StacksMissed: 2, Overhead: 5, StackSampling: "1 in 2", Notes: []string{"a note"}, Records: 99, Messages: 99})
	faults := someFaults(1, 3000)
	type totals struct {
		faults, messages uint64
		stall, longest   time.Duration
	}
	regions, threads, spans := map[RegionID]totals{}, map[int32]totals{}, map[SpanRef]totals{}
	groups := map[groupKey]totals{}
	touched := map[RegionID]map[int64]bool{0: {}, 1: {}}
	disk, stacks, messages := [2]uint64{}, uint64(0), uint64(0)
	sum := func(m totals, f Fault) totals {
		return totals{m.faults + 1, m.messages + uint64(f.Messages), m.stall + f.Stall, max(m.longest, f.Stall)}
	}
	for _, f := range faults {
		b.AddFault(f)
		regions[f.Region] = sum(regions[f.Region], f)
		threads[f.Thread] = sum(threads[f.Thread], f)
		spans[f.Span] = sum(spans[f.Span], f)
		k := groupKey{f.Region, f.Stack, f.Access, f.Source, f.Actor}
		groups[k] = sum(groups[k], f)
		granule := []int64{4096, 64 << 10}[f.Region]
		touched[f.Region][f.Offset/granule*granule] = true
		if f.Source == SourceDisk {
			disk[f.Region]++
		}
		if f.Stack != 0 {
			stacks++
		}
		messages += uint64(f.Messages)
	}
	s := b.Snapshot()
	if !slices.Equal(s.Faults, faults) {
		t.Error("the log is not the faults")
	}
	for i, r := range s.Regions {
		want := regions[RegionID(i)]
		offsets := slices.Sorted(maps.Keys(touched[r.ID]))
		bytes := int64(0)
		for _, o := range offsets {
			bytes += min(int64(r.Granule), r.Size-o)
		}
		if got := slices.Collect(r.TouchedGranules); !slices.Equal(got, offsets) || r.Touched != bytes {
			t.Errorf("%s: %d bytes touched in %v, want %d in %v", r.Name, r.Touched, got, bytes, offsets)
		}
		if r.Faults != want.faults || r.Messages != want.messages || r.Stall.Sum != want.stall || r.Stall.Max != want.longest ||
			r.Stall.Count != want.faults || r.Disk.Count != disk[i] {
			t.Errorf("%s: %+v, want %+v", r.Name, r, want)
		}
	}
	if len(s.Groups) != len(groups) || len(s.Threads) != len(threads) {
		t.Errorf("%d groups of %d, %d threads of %d", len(s.Groups), len(groups), len(s.Threads), len(threads))
	}
	for _, g := range s.Groups {
		want := groups[groupKey{g.Region, g.Stack, g.Access, g.Source, g.Actor}]
		if g.Faults != want.faults || g.Stall != want.stall || g.Max != want.longest {
			t.Errorf("group %+v, want %+v", g, want)
		}
	}
	for _, th := range s.Threads {
		if want := threads[th.Thread]; th.Faults != want.faults || th.Stall != want.stall {
			t.Errorf("thread %+v, want %+v", th, want)
		}
	}
	for ref := SpanRef(1); ref <= 2; ref++ {
		want := spans[ref]
		if got, ok := s.Span(ref); !ok || got.SpanID != [8]byte{byte(ref)} || got.Faults != want.faults || got.Stall != want.stall || got.Max != want.longest {
			t.Errorf("span %d: %+v, want %+v", ref, got, want)
		}
	}
	if got := s.Stats; got.Records != 3000 || got.Faults != 3003 || got.Messages != messages || got.Stacks != stacks ||
		got.Unattributed != spans[0].faults || got.Dropped != 3 || got.StackSampling != "1 in 2" || len(got.Notes) != 1 || got.LogCut != 0 {
		t.Errorf("%+v", got)
	}
	if s.Region("large").ID != 1 || s.Region("none") != nil || s.Region("small").Faults == 99 {
		t.Errorf("%+v", s.Regions)
	}
}

// A snapshot does not change when more is added.
func TestSnapshotIsImmutable(t *testing.T) {
	b := someBuilder(t)
	faults := someFaults(2, 400)
	for _, f := range faults[:100] {
		b.AddFault(f)
	}
	s := b.Snapshot()
	quantile, groups := s.Regions[0].Stall.Quantile(0.5), slices.Clone(s.Groups)
	span, _ := s.Span(1)
	touched := slices.Collect(s.Regions[1].TouchedGranules)
	for _, f := range faults[100:] {
		b.AddFault(f)
	}
	b.AddStack([]uintptr{5})
	if s.Regions[0].Stall.Quantile(0.5) != quantile || !slices.Equal(s.Groups, groups) || len(s.Faults) != 100 || s.Stack(4) != nil {
		t.Error("the snapshot changed")
	}
	if now, _ := s.Span(1); now.Faults != span.Faults || !slices.Equal(now.Regions, span.Regions) {
		t.Errorf("its span changed from %+v to %+v", span, now)
	}
	if !slices.Equal(slices.Collect(s.Regions[1].TouchedGranules), touched) {
		t.Error("its touched granules changed")
	}
}
