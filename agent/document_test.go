package agent

import (
	"encoding/json"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/profiler"
)

var update = flag.Bool("update", false, "write the golden files")

// sample is a snapshot of made-up faults: a file of 64 pages, of which three were touched, and an
// empty arena.
func sample() *profiler.Snapshot {
	b := profiler.NewSnapshotBuilder()
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b.SetTime(begin, begin.Add(10*time.Second), 100*time.Second, 110*time.Second)
	file := b.AddRegion(profiler.RegionStats{
		Name: "/var/lib/app/<data>.db", Kind: profiler.KindAttached, Granule: 4096, Size: 64 * 4096, Mapped: 64 * 4096,
		Mappings: []profiler.MappingStats{{Start: 0x7f0000000000, End: 0x7f0000040000, Since: 101 * time.Second, Latency: 3 * time.Millisecond}},
		Note:     "a note of the region",
	})
	b.AddRegion(profiler.RegionStats{Name: "cache", Kind: profiler.KindArena, Granule: 65536, Size: 1 << 20, Mapped: 1 << 20})
	span := b.AddSpan(profiler.SpanStats{TraceID: [16]byte{1}, SpanID: [8]byte{2}})
	for i, f := range []profiler.Fault{
		{Offset: 4096, Stall: 2 * time.Millisecond, Source: profiler.SourceDisk, Span: span},
		{Offset: 63*4096 + 7, Stall: 30 * time.Microsecond, Source: profiler.SourcePageCache},
		{Offset: 0, Stall: 10 * time.Microsecond, Source: profiler.SourcePageCache, Access: profiler.Write},
	} {
		f.Seq, f.Region, f.Address = uint64(i), file, 0x7f0000000000+uintptr(f.Offset)
		f.Time = 102*time.Second + time.Duration(i)*time.Millisecond
		f.Thread, f.Goroutine, f.Messages = 77, 18, 1
		b.AddFault(f)
	}
	b.SetStats(profiler.Stats{Dropped: 2, Overhead: 50 * time.Millisecond, StackSampling: "none", Delivery: "signal", Notes: []string{"a note of the profiler"}})
	return b.Snapshot()
}

func TestDocumentGolden(t *testing.T) {
	for _, tt := range []struct {
		file string
		sel  selection
	}{
		{"testdata/snapshot.json", selection{after: -1, faults: 2}},
		{"testdata/snapshot_addresses.json", selection{after: 1, faults: 9, addresses: true}},
	} {
		got, err := json.MarshalIndent(document(&recording.Recording{Snapshot: sample()}, tt.sel), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		checkGolden(t, tt.file, append(got, '\n'))
	}
}

func checkGolden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs (run with -update if that is meant):\n%s", file, got)
	}
}
