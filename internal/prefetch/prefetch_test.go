package prefetch

import (
	"reflect"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/touchorder"
	"github.com/firsttouch/firsttouch/profiler"
)

// seen makes a snapshot of faults of regions, in order, a millisecond apart.
func seen(regions []profiler.RegionStats, faults []profiler.Fault) *profiler.Snapshot {
	b := profiler.NewSnapshotBuilder()
	at := time.Date(2026, 11, 30, 20, 15, 0, 0, time.UTC)
	b.SetTime(at, at.Add(time.Minute), time.Hour, time.Hour+time.Minute)
	for _, r := range regions {
		b.AddRegion(r)
	}
	for i, f := range faults {
		f.Seq, f.Time = uint64(i), time.Hour+time.Duration(i)*time.Millisecond
		b.AddFault(f)
	}
	return b.Snapshot()
}

func touchOf(region profiler.RegionID, page int64, source profiler.Source, stall time.Duration) profiler.Fault {
	return profiler.Fault{Region: region, Offset: page*4096 + 5, Source: source, Stall: stall}
}

var regions = []profiler.RegionStats{
	{Name: "/data/a.db", Kind: profiler.KindAttached, Granule: 4096, Size: 10*4096 + 100},
	{Name: "cache", Kind: profiler.KindArena, Granule: 4096, Size: 1 << 20},
	{Name: "/data/b.db", Kind: profiler.KindMappedFile, Granule: 4096, Size: 1 << 20},
	{Name: "named otherwise", Kind: profiler.KindAttached, Granule: 4096, Size: 1 << 20},
	{Name: "/data/untouched.db", Kind: profiler.KindAttached, Granule: 4096, Size: 1 << 20},
}

const disk, cached = profiler.SourceDisk, profiler.SourcePageCache

func TestOrderOf(t *testing.T) {
	s := seen(regions, []profiler.Fault{
		touchOf(0, 7, disk, 100*time.Microsecond),
		touchOf(2, 3, disk, 10*time.Microsecond),
		touchOf(0, 2, cached, 900*time.Microsecond), // is no wait for the disk
		touchOf(0, 3, disk, 40*time.Microsecond),
		touchOf(1, 0, profiler.SourceZero, time.Microsecond),
		touchOf(3, 0, disk, time.Microsecond),
		touchOf(0, 10, disk, 7*time.Microsecond), // the last page, which is a part of one
		touchOf(0, 7, disk, time.Second),         // armed again
	})
	m := OrderOf(s, "a test")
	want := []touchorder.File{
		{Path: "/data/a.db", Ranges: []touchorder.Range{
			{Offset: 7 * 4096, Length: 4096, At: 0, Saves: 100 * time.Microsecond},
			{Offset: 2 * 4096, Length: 2 * 4096, At: 2 * time.Millisecond, Saves: 40 * time.Microsecond},
			{Offset: 10 * 4096, Length: 100, At: 6 * time.Millisecond, Saves: 7 * time.Microsecond},
		}},
		{Path: "/data/b.db", Ranges: []touchorder.Range{{Offset: 3 * 4096, Length: 4096, At: time.Millisecond, Saves: 10 * time.Microsecond}}},
	}
	if !reflect.DeepEqual(m.Files, want) || m.Unordered != 0 {
		t.Errorf("%+v, %d unordered\nwant %+v", m.Files, m.Unordered, want)
	}
	if len(m.LeftOut) != 2 || m.LeftOut["cache"] == "" || m.LeftOut["named otherwise"] == "" {
		t.Errorf("left out: %q", m.LeftOut)
	}
}

// TestLongRangesAreCut: the order within a range is not kept, so that none is long.
func TestLongRangesAreCut(t *testing.T) {
	var faults []profiler.Fault
	const pages = 600
	for i := range int64(pages) {
		faults = append(faults, touchOf(0, pages-1-i, disk, time.Microsecond))
	}
	s := seen([]profiler.RegionStats{{Name: "/a", Kind: profiler.KindAttached, Granule: 4096, Size: pages * 4096}}, faults)
	o := OrderOf(s, "")
	if o.Bytes() != pages*4096 || o.Ranges() != 3 || o.Saves() != pages*time.Microsecond {
		t.Fatalf("%d bytes in %d ranges", o.Bytes(), o.Ranges())
	}
	if first := o.Files[0].Ranges[0]; first.Offset != 2*touchorder.RangeMost || first.At != 0 {
		t.Errorf("the first range is %+v, and the last pages were touched first", first)
	}
}

// TestMeasure holds an order against the start after it.
func TestMeasure(t *testing.T) {
	before := seen(regions, []profiler.Fault{
		touchOf(0, 1, disk, 100*time.Microsecond), touchOf(0, 2, disk, 100*time.Microsecond), touchOf(0, 5, disk, 300*time.Microsecond),
		touchOf(2, 9, disk, 50*time.Microsecond),
	})
	o := OrderOf(before, "").Order
	// Armed again, page 1 waits for the disk: not at its first touch, which is the one that counts.
	after := seen(regions, []profiler.Fault{
		touchOf(0, 1, cached, 10*time.Microsecond), touchOf(0, 5, disk, 250*time.Microsecond), touchOf(0, 2, cached, 5*time.Microsecond),
		touchOf(0, 8, disk, 70*time.Microsecond), touchOf(0, 1, disk, time.Second), touchOf(1, 3, profiler.SourceZero, time.Second),
	})
	want := Outcome{Touches: 4, Found: 2, Waited: 1, Beside: 1, Touched: 3 * 4096, InVain: 4096,
		Expected: 550 * time.Microsecond, Saved: 185 * time.Microsecond, Left: 320 * time.Microsecond}
	if got := Measure(o, after); got != want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	// A start that touched nothing of it.
	if got := Measure(o, seen(regions[1:2], nil)); got != (Outcome{InVain: 4 * 4096, Expected: 550 * time.Microsecond}) {
		t.Errorf("of nothing: %+v", got)
	}
}
