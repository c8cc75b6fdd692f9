package report_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/firsttouch/firsttouch/profiler"
)

// recorded is the snapshot of the other tests as a recording that is the same everywhere.
func recorded() *recording.Recording {
	s := snapshot()
	return &recording.Recording{Snapshot: s,
		Origin: recording.Origin{Program: "/bin/service", Go: "go1.26", System: "linux/amd64", Process: 7, Writer: "1",
			Written: s.End, Reason: "a test", Scope: recording.ScopeAll},
		Requests: []recording.Request{
			{SpanID: [8]byte{1}, Entry: true, Name: "GET /x", Target: "/x/slow", Start: s.StartMono, Duration: 20 * time.Millisecond,
				Tree: recording.Totals{Faults: 104, Stall: 11 * time.Millisecond, Max: 4 * time.Millisecond, Touched: 104 * 4096}},
			{SpanID: [8]byte{2}, Name: "query", Totals: recording.Totals{Faults: 104}},
		},
		Ended: recording.RequestTotals{Count: 4000, WithFaults: 1368, Duration: 2 * time.Second, Stall: time.Second, Faults: 9000}}
}

func TestRenderDocument(t *testing.T) {
	var out bytes.Buffer
	if err := report.RenderDocument(&out, report.Of(recorded(), "x.ftr", "", summary.DefaultLimits())); err != nil {
		t.Fatal(err)
	}
	golden(t, "recording.txt", out.Bytes())
	if r := summary.RequestsOf(recorded()).Kept; len(r) != 1 || r[0].Faults != 104 || !r[0].Start.Equal(recorded().Snapshot.Start) {
		t.Errorf("requests %+v", r)
	}
}

// The windows add up to what is in the log, and cover its time without a gap.
func TestWindows(t *testing.T) {
	b := profiler.NewSnapshotBuilder()
	b.SetTime(time.Time{}, time.Time{}, time.Hour, time.Hour+time.Second)
	r := b.AddRegion(profiler.RegionStats{Granule: 4096, Size: 10*4096 + 5})
	for i := range 22 { // each page twice, after a re-arm
		b.AddFault(profiler.Fault{Time: time.Hour + time.Duration(i)*time.Millisecond, Region: r, Offset: int64(i%11) * 4096, Stall: time.Microsecond, Messages: 1})
	}
	s := b.Snapshot()
	for _, n := range []int{1, 2, 7, 100} {
		var faults uint64
		var stall time.Duration
		list := summary.Windows(s, n)
		for i, w := range list {
			faults += w.Faults
			stall += w.Stall
			if i > 0 && list[i-1].To != w.From {
				t.Errorf("window %d of %d begins at %v, and the one before it ends at %v", i, n, w.From, list[i-1].To)
			}
		}
		last := list[len(list)-1]
		if len(list) != n || faults != 22 || stall != s.Regions[r].Stall.Sum || last.Total != s.Regions[r].Touched || list[0].From != 0 || last.To <= 21*time.Millisecond {
			t.Errorf("%d windows: %d faults, %v, %d bytes of %d, from %v to %v", len(list), faults, stall, last.Total, s.Regions[r].Touched, list[0].From, last.To)
		}
	}
	if summary.Windows(profiler.NewSnapshotBuilder().Snapshot(), 3) != nil {
		t.Error("windows of nothing")
	}
}
