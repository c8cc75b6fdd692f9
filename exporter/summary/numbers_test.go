package summary_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/profiler"
)

func TestLabels(t *testing.T) {
	for _, tt := range []struct{ names, want []string }{
		{[]string{"/data/a/index", "/data/b/index", "cache"}, []string{"a/index", "b/index", "cache"}},
		{[]string{"/t/1/chunks/000001", "/t/2/chunks/000001", "/t/2/chunks/000002"}, []string{"1/chunks/000001", "2/chunks/000001", "000002"}},
		{[]string{"/index", "/a/index"}, []string{"/index", "/a/index"}},
		{[]string{"/x/db", "/x/db"}, []string{"db", "db"}}, // nothing tells them apart
		{[]string{"index", "/a/index"}, []string{"index", "/a/index"}},
		{nil, []string{}},
	} {
		if got := summary.Labels(tt.names); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.names, got, tt.want)
		}
	}
}

// A mapping that has ended is no memory of 0 bytes of which more was touched.
func TestEndedRegion(t *testing.T) {
	const MiB = 1 << 20
	for _, tt := range []struct {
		r     summary.Region
		whole int64
		share float64
		ended bool
	}{
		{summary.Region{Size: 200 * MiB, Mapped: 0, Touched: 49 * MiB}, 200 * MiB, 49. / 200, true},
		{summary.Region{Size: 200 * MiB, Mapped: 10 * MiB, Touched: 49 * MiB}, 200 * MiB, 49. / 200, false},
		{summary.Region{Size: 200 * MiB, Mapped: 100 * MiB, Touched: 49 * MiB}, 100 * MiB, .49, false},
		{summary.Region{Size: 4096 * 3, Mapped: 4096*2 + 5, Touched: 4096 * 3, Granule: 4096}, 4096*2 + 5, 1, false}, // the last granule counts whole
		{summary.Region{}, 0, 0, false},
	} {
		if r := &tt.r; r.Whole() != tt.whole || r.Share() != tt.share || r.Ended() != tt.ended || r.Never().Bytes != max(tt.whole-r.Touched, 0) {
			t.Errorf("%+v: of %d, %v, ended %v, never %v", tt.r, r.Whole(), r.Share(), r.Ended(), r.Never())
		}
	}
}

// Of a region of which a part was observed the estimate comes first, with its error.
func TestEstimatesComeFirst(t *testing.T) {
	r := &summary.Region{Size: 100 << 20, Mapped: 100 << 20, Touched: 27 << 20, Faults: 27, Stall: summary.Stall{Sum: time.Second}, Sampling: "a part",
		Estimate: summary.Estimate{Touched: 69 << 20, TouchedError: 2 << 20, Faults: 69, FaultsError: 2, Stall: 3 * time.Second, StallError: 100 * time.Millisecond}}
	if got := []string{r.TouchedSize().String(), r.FaultsText(), r.StallText(), r.Never().String(), summary.Percent(r.Share())}; !slices.Equal(got,
		[]string{"69.0 MiB ± 2.00 MiB", "69 ± 2", "3.00 s ± 100 ms", "31.0 MiB ± 2.00 MiB", "69%"}) {
		t.Errorf("%q", got)
	}
}

// Stacks are taken of some faults only. Code whose faults happened to have none is not behind code that waited less: within a region, a
// source and an access, faults without a stack are given to those with one in proportion.
func TestCallersWithoutStacks(t *testing.T) {
	b := profiler.NewSnapshotBuilder()
	disk := b.AddRegion(profiler.RegionStats{Name: "disk", Granule: 4096, Size: 1 << 30})
	cache := b.AddRegion(profiler.RegionStats{Name: "cache", Granule: 4096, Size: 1 << 30})
	inDisk, inCache := b.AddStack([]uintptr{pcOf(library)}), b.AddStack([]uintptr{pcOf(handler)})
	n := int64(0)
	add := func(r profiler.RegionID, stack profiler.StackID, times int, source profiler.Source, stall time.Duration) {
		for range times {
			b.AddFault(profiler.Fault{Region: r, Stack: stack, Source: source, Stall: stall, Offset: 4096 * n, Messages: 1})
			n++
		}
	}
	// What waits for the disk has a stack one time in ten, what comes from the cache always.
	add(disk, inDisk, 10, profiler.SourceDisk, time.Millisecond)
	add(disk, 0, 90, profiler.SourceDisk, time.Millisecond)
	add(cache, inCache, 50, profiler.SourcePageCache, time.Millisecond)
	add(cache, 0, 1, profiler.SourceZero, time.Second) // like no other
	list := summary.Callers(b.Snapshot())
	if got := list.Callers; len(got) != 3 || !strings.HasSuffix(got[0].Function, ".library") || got[0].Estimate.Stall != 100*time.Millisecond || got[0].Estimate.Faults != 100 ||
		got[0].Faults != 10 || !strings.HasSuffix(got[1].Function, ".handler") || got[1].Estimate.Stall != 50*time.Millisecond ||
		got[2].Function != "" || got[2].Faults != 91 || got[2].Estimate.Faults != 1 || got[2].Estimate.Stall != time.Second {
		t.Errorf("%+v", got)
	}
	if want := 60. / 1150; list.Stacked < want-1e-9 || list.Stacked > want+1e-9 {
		t.Errorf("%v of the stall has a stack, want %v", list.Stacked, want)
	}
}

// Requests that were not kept are in the sums, and it is said how many.
func TestRequestsThatWereNotKept(t *testing.T) {
	r := &recording.Recording{Snapshot: profiler.NewSnapshotBuilder().Snapshot(),
		Requests: []recording.Request{{Entry: true, Duration: time.Second, Tree: recording.Totals{Faults: 3, Stall: time.Millisecond}}, {}},
		Ended:    recording.RequestTotals{Count: 4000, WithFaults: 1368, Duration: 10 * time.Second, Stall: 5 * time.Second, Faults: 9000}}
	if q := summary.Of(r, summary.DefaultLimits()).Requests; q.Count != 4000 || q.WithFaults != 1368 || q.Kept != 1 || len(q.Slowest) != 1 || q.Attributed != 9000 || q.Stall != 5*time.Second {
		t.Errorf("%+v", q)
	}
	r.Ended = recording.RequestTotals{}
	if q := summary.Of(r, summary.DefaultLimits()).Requests; q.Count != 1 || q.WithFaults != 1 || q.Kept != 1 {
		t.Errorf("%+v", q)
	}
}

// That no fault belongs to a span has a reason.
func TestUnattributedSaysWhy(t *testing.T) {
	of := func(records, without, dropped uint64, requests int) string {
		b := profiler.NewSnapshotBuilder()
		r := b.AddRegion(profiler.RegionStats{Granule: 4096, Size: 1 << 20})
		var span profiler.SpanRef
		if without < records {
			span = b.AddSpan(profiler.SpanStats{TraceID: [16]byte{1}, SpanID: [8]byte{1}})
		}
		for i := range records {
			f := profiler.Fault{Region: r, Offset: int64(i) * 4096}
			if i >= without {
				f.Span = span
			}
			b.AddFault(f)
		}
		b.SetStats(profiler.Stats{SpansDropped: dropped})
		return summary.Build(b.Snapshot(), summary.Listed(make([]summary.Request, requests)), summary.DefaultLimits()).Requests.Why
	}
	for _, tt := range []struct{ got, want string }{
		{of(10, 10, 0, 0), "no span of this service"}, {of(10, 10, 0, 3), "work for no span"}, {of(10, 9, 5, 3), "5 spans found no free place"},
		{of(10, 5, 0, 1), "outside of spans"}, {of(20, 1, 0, 1), ""},
	} {
		if !strings.Contains(tt.got, tt.want) || tt.want == "" && tt.got != "" {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}
