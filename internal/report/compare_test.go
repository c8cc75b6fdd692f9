package report_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/firsttouch/firsttouch/profiler"
)

// touching makes a recording of regions, by name, of which these granules were touched.
func touching(granule int, regions map[string][]int64, order ...string) *recording.Recording {
	b := profiler.NewSnapshotBuilder()
	stack := b.AddStack([]uintptr{pcOf(handler), pcOf(testing.Benchmark)})
	for _, name := range order {
		id := b.AddRegion(profiler.RegionStats{Name: name, Kind: profiler.KindAttached, Granule: granule, Size: 1<<20 + 100})
		for _, g := range regions[name] {
			b.AddFault(profiler.Fault{Region: id, Offset: g * int64(granule), Stack: stack, Stall: time.Millisecond, Messages: 1})
		}
	}
	return &recording.Recording{Snapshot: b.Snapshot()}
}

func TestCompare(t *testing.T) {
	a := touching(4096, map[string][]int64{"/a/db": {0, 1, 2, 256}, "/a/old": {1}, "same": {3}}, "/a/db", "/a/old", "same")
	b := touching(8192, map[string][]int64{"/b/db": {0, 9}, "new": {1, 2}, "same": {}}, "new", "/b/db", "same")
	c := report.Compare(a, b, "A", "B", report.ByTouched, 10)
	want := []report.RegionChange{
		{Name: "/a/db", Label: "db", InA: true, InB: true, OnlyA: 4096 + 100, Both: 8192, OnlyB: 8192}, // page 256 is the last, of 100 bytes
		{Name: "/a/old", Label: "old", InA: true, OnlyA: 4096},
		{Name: "same", Label: "same", InA: true, InB: true, OnlyA: 4096},
		{Name: "new", Label: "new", InB: true, OnlyB: 16384},
	}
	if len(c.Regions) != len(want) {
		t.Fatalf("%+v", c.Regions)
	}
	for i := range want {
		if c.Regions[i] != want[i] {
			t.Errorf("region %+v, want %+v", c.Regions[i], want[i])
		}
	}
	if len(c.Callers) != 1 || c.Callers[0].FaultsA != 6 || c.Callers[0].FaultsB != 4 || c.Callers[0].BytesB != 4*8192 || c.Callers[0].StallA != 6*time.Millisecond {
		t.Errorf("callers %+v", c.Callers)
	}
	if c.A.Touched != 3*4096+100+2*4096 || c.B.Faults != 4 {
		t.Errorf("sides %+v, %+v", c.A, c.B)
	}
}

// Two files of one name cannot be told apart by it.
func TestCompareLeavesAmbiguousNamesAlone(t *testing.T) {
	a := touching(4096, map[string][]int64{"/a/db": {0}}, "/a/db")
	b := touching(4096, map[string][]int64{"/b/db": {0}, "/c/db": {0}}, "/b/db", "/c/db")
	if c := report.Compare(a, b, "", "", report.ByStall, 1); len(c.Regions) != 3 || c.Regions[0].InB {
		t.Errorf("%+v", c.Regions)
	}
}

func TestCompareWithItself(t *testing.T) {
	c := report.Compare(recorded(), recorded(), "x", "x", report.ByStall, 10)
	for _, r := range c.Regions {
		if r.OnlyA != 0 || r.OnlyB != 0 || r.Both == 0 || r.Overlap() != 1 {
			t.Errorf("%+v", r)
		}
	}
	for _, x := range c.Callers {
		if x.FaultsA != x.FaultsB || x.StallA != x.StallB {
			t.Errorf("%+v", x)
		}
	}
	var out bytes.Buffer
	if err := report.RenderComparison(&out, report.Compare(recorded(), touching(4096, nil), "before.ftr", "after.ftr", report.ByStall, 10)); err != nil {
		t.Fatal(err)
	}
	golden(t, "comparison.txt", out.Bytes())
	if text, err := json.Marshal(c); err != nil || !bytes.Contains(text, []byte(`"only_a_bytes"`)) {
		t.Errorf("%s, %v", text, err)
	}
}

// What changed more is what the code is ordered by: the same pages that waited longer are explained by stalls, more pages by
// memory.
func TestCompareByWhatChangedMore(t *testing.T) {
	a := touching(4096, map[string][]int64{"db": {0, 1}}, "db")
	slow := touching(4096, map[string][]int64{"db": {0, 1}}, "db")
	for i := range slow.Snapshot.Regions {
		slow.Snapshot.Regions[i].Stall.Sum *= 3
	}
	more := touching(4096, map[string][]int64{"db": {0, 1, 2, 3, 4, 5, 6, 7}}, "db")
	for i := range more.Snapshot.Regions {
		more.Snapshot.Regions[i].Stall.Sum = a.Snapshot.Regions[i].Stall.Sum
	}
	for _, tt := range []struct {
		b    *recording.Recording
		by   report.Order
		want report.Order
	}{
		{slow, report.ByChange, report.ByStall},
		{more, report.ByChange, report.ByTouched},
		{a, report.ByChange, report.ByTouched},
		{slow, report.ByTouched, report.ByTouched},
	} {
		if got := report.Compare(a, tt.b, "A", "B", tt.by, 1).By; got != tt.want {
			t.Errorf("by %s the code is ordered by %s, want %s", tt.by, got, tt.want)
		}
	}
}
