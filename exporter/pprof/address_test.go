package pprof

import (
	"slices"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

// names are the frames of a sample, the root first.
func names(s *profile.Sample) (out []string) {
	for _, l := range slices.Backward(s.Location) {
		out = append(out, l.Line[0].Function.Name)
	}
	return out
}

func TestAddressStacks(t *testing.T) {
	for _, c := range []struct {
		granule int
		offset  int64
		want    string
	}{
		{4096, 0x355008, "f,f 0x00300000 +1MiB,f 0x00350000 +64KiB,f 0x00355000 +4KiB"},
		{16 << 10, 0x355008, "f,f 0x00300000 +1MiB,f 0x00350000 +64KiB,f 0x00354000 +16KiB"},
		{64 << 10, 0x355008, "f,f 0x00300000 +1MiB,f 0x00350000 +64KiB"},
		{1 << 20, 0x355008, "f,f 0x00300000 +1MiB"},
		{2 << 20, 0x355008, "f,f 0x00200000 +2MiB"},
		{1 << 30, 0x355008, "f,f 0x00000000 +1GiB"},
	} {
		b := profiler.NewSnapshotBuilder()
		r := b.AddRegion(profiler.RegionStats{Name: "f", Granule: c.granule, Size: 1 << 30})
		b.AddFault(profiler.Fault{Region: r, Offset: c.offset, Messages: 1})
		p := ByAddress(b.Snapshot())
		if len(p.Sample) != 1 {
			t.Fatalf("%d samples", len(p.Sample))
		}
		if got := strings.Join(names(p.Sample[0]), ","); got != c.want {
			t.Errorf("granule %d, offset %#x: %s, want %s", c.granule, c.offset, got, c.want)
		}
	}
}

func TestAddressesOfLargeRegionsSortByName(t *testing.T) {
	b := profiler.NewSnapshotBuilder()
	r := b.AddRegion(profiler.RegionStats{Name: "f", Granule: 4096, Size: 8 << 30})
	b.AddFault(profiler.Fault{Region: r, Offset: 5 << 30, Messages: 1})
	b.AddFault(profiler.Fault{Region: r, Offset: 0, Messages: 1})
	p := ByAddress(b.Snapshot())
	low, high := names(p.Sample[0]), names(p.Sample[1])
	if low[1] != "f 0x000000000 +1MiB" || high[1] != "f 0x140000000 +1MiB" {
		t.Errorf("%q, %q", low[1], high[1])
	}
}

func TestManyPlacesEndEarlier(t *testing.T) {
	b := profiler.NewSnapshotBuilder()
	r := b.AddRegion(profiler.RegionStats{Name: "f", Granule: 4096, Size: 1 << 30})
	const pages = 64 // in 4 parts of 64 KiB, in 2 MiB
	for i := range int64(pages) {
		b.AddFault(profiler.Fault{Region: r, Offset: i/32<<20 + i%32*4096, Access: profiler.Access(i % 2), Messages: 1})
	}
	for _, c := range []struct {
		most    int
		samples int
		leaf    string
	}{{pages, 64, "+4KiB"}, {pages - 1, 8, "+64KiB"}, {3, 4, "+1MiB"}, {1, 4, "+1MiB"}, {0, 64, "+4KiB"}} {
		p := ByAddress(b.Snapshot(), WithMaxPlaces(c.most))
		if got := totals(p, nil); got != [3]int64{pages, pages * 4096, 0} {
			t.Errorf("at most %d places: %v", c.most, got)
		}
		if len(p.Sample) != c.samples {
			t.Errorf("at most %d places: %d samples, want %d", c.most, len(p.Sample), c.samples)
		}
		if path := names(p.Sample[0]); !strings.HasSuffix(path[len(path)-1], c.leaf) {
			t.Errorf("at most %d places: stack %q", c.most, path)
		}
		said := slices.ContainsFunc(p.Comments, func(s string) bool { return strings.HasPrefix(s, "stacks end at") })
		if said != (c.leaf != "+4KiB") {
			t.Errorf("at most %d places: comments %q", c.most, p.Comments)
		}
	}
}

// What the log does not place stays in the totals of its region, and its pages are still drawn.
func TestAddressesBeyondTheLog(t *testing.T) {
	p := ByAddress(cut(synthetic(), 2))
	if got := totals(p, under(exporter.FrameNotLogged)); got != [3]int64{3, 0, 28_000} {
		t.Errorf("%v stand under %s", got, exporter.FrameNotLogged)
	}
	if got := totals(p, under("index.db 0x00200000 +4KiB")); got != [3]int64{0, 4096, 0} {
		t.Errorf("a touched page that is not in the log has %v", got)
	}
}

func TestFilesOfOneNameKeepTheirPaths(t *testing.T) {
	b := profiler.NewSnapshotBuilder()
	for _, r := range []profiler.RegionStats{
		{Name: "/a/index.db", Kind: profiler.KindAttached}, {Name: "/b/index.db", Kind: profiler.KindAttached}, {Name: "/b/other.db", Kind: profiler.KindMappedFile},
	} {
		r.Granule, r.Size = 4096, 1<<20
		b.AddFault(profiler.Fault{Region: b.AddRegion(r), Messages: 1})
	}
	p := ByAddress(b.Snapshot())
	var roots []string
	for _, s := range p.Sample {
		roots = append(roots, names(s)[0])
	}
	if want := []string{"/a/index.db", "/b/index.db", "other.db"}; !slices.Equal(roots, want) {
		t.Errorf("regions %q, want %q", roots, want)
	}
}

// Two captures place the same file at different addresses and still are the same work.
func TestAddressesDoNotDependOnWhereAFileIsMapped(t *testing.T) {
	moved := synthetic()
	for i := range moved.Regions {
		for j := range moved.Regions[i].Mappings {
			m := &moved.Regions[i].Mappings[j]
			m.Start, m.End = m.Start+1<<30, m.End+1<<30
		}
	}
	assertNothingLeft(t, ByAddress(synthetic()), ByAddress(moved), 3)
	assertNothingLeft(t, ByCode(synthetic()), ByCode(moved), 3)
}
