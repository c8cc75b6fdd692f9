package agent

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/profiler"
)

// sampledSets are made-up working sets of the regions of sample: of the file a window that is not known and one of a quarter
// of it, and of the arena one of all.
func sampledSets() []profiler.WorkingSet {
	window := func(r profiler.RegionID, n int, w profiler.RegionWindow) profiler.RegionWindow {
		w.Region, w.Start, w.End = r, 100*time.Second+time.Duration(n)*10*time.Second, 110*time.Second+time.Duration(n)*10*time.Second
		return w
	}
	return []profiler.WorkingSet{
		{Region: 0, Sample: 0.25,
			Windows: []profiler.RegionWindow{
				window(0, 0, profiler.RegionWindow{Err: errors.New("nothing was observed for 2s of the window, to keep the budget")}),
				window(0, 1, profiler.RegionWindow{Share: 0.25, Touched: 131072, New: 65536, Reused: 65537, Reread: 4096, Mapped: 262144, Never: 98304,
					Touched1s: 131071, Touched10s: 131073, Touched60s: 131074, Idle30s: 24576, Idle2m: 12288, Idle10m: 4097,
					Errors: profiler.WindowErrors{Touched: 20480, New: 10240, Reused: 9216, Never: 30720, Touched1s: 20479, Touched10s: 20481, Touched60s: 20482, Idle30s: 5120, Idle2m: 3072, Idle10m: 2048},
					Actors: [...]profiler.WindowActor{profiler.ActorGC: {Touched: 131072 - 8192, Error: 20480}, profiler.ActorUnknown: {Touched: 8192}}}),
			},
			Curve:  []profiler.CurvePoint{{Windows: 1, Length: 10 * time.Second, Bytes: 131072, Error: 20480}, {Windows: 2, Length: 20 * time.Second, Bytes: 163840, Error: 25600}},
			Misses: []profiler.MissPoint{{Bytes: 262144, Miss: 0.75, Error: 0.03125}}},
		{Region: 1, Sample: 1,
			Windows: []profiler.RegionWindow{window(1, 0, profiler.RegionWindow{Share: 1, Touched: 65536, Reused: 65536, Mapped: 1 << 20, Never: 524288,
				Touched1s: -1, Touched10s: 65536, Touched60s: -1, Idle30s: 131072, Idle2m: -1, Idle10m: -1})},
			Curve:  []profiler.CurvePoint{{Windows: 1, Length: 10 * time.Second, Bytes: 65536}},
			Misses: []profiler.MissPoint{{Bytes: 1 << 20, Miss: 0.5}}},
	}
}

// The JSON is an interface: its names and units may not change by accident.
func TestWindowsDocumentGolden(t *testing.T) {
	s := sample()
	got, err := json.MarshalIndent(summary.WorkingSets(s, sampledSets()), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "testdata/windows.json", append(got, '\n'))
}

// The page shows the share that was observed and the errors where a part was left out, and nothing of them elsewhere.
func TestPageOfWindows(t *testing.T) {
	c := &pageContent{Active: true, Host: "h:1", Base: basePath}
	s := sample()
	show := func(sets []profiler.WorkingSet) { c.fill(&recording.Recording{Snapshot: s, WorkingSets: sets}) }
	row := func(c *pageContent) string {
		_, rest, found := strings.Cut(render(t, c), `<h2 id="windows">`)
		rest, _, _ = strings.Cut(rest, "<h2 ")
		if !found {
			t.Fatal("the page has no working sets")
		}
		return rest
	}
	show(sampledSets()[:1])
	got := row(c)
	for _, want := range []string{
		"<td>warming</td><td>10.0 s<small>25% observed</small></td>",
		"<td>128 KiB<small>± 20.0 KiB</small></td><td>64.0 KiB<small>± 10.0 KiB</small></td>", // touched, new
		"<td>4.00 KiB</td>", // from disk again
		"<td>24.0 KiB<small>± 5.00 KiB</small></td><td>12.0 KiB<small>± 3.00 KiB</small></td><td>4.00 KiB<small>± 2.00 KiB</small></td>", // idle
		"<td>96.0 KiB<small>± 30.0 KiB</small></td>", // never
		">1: 128 KiB ± 20.0 KiB, 2: 160 KiB ± 25.0 KiB</td>",
		"first in the last window: gc 120 KiB ± 20.0 KiB, unknown 8.00 KiB.",
		"the sizes are estimates",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("of a sampled window the page lacks %q: %s", want, got)
		}
	}
	show(sampledSets()[1:])
	if got := row(c); !strings.Contains(got, "<td>128 KiB</td><td>–</td><td>–</td><td>512 KiB</td>") || strings.Contains(got, "Who touched") || strings.Contains(got, "±") || strings.Contains(got, "observed") {
		t.Errorf("of a window that was observed whole the page has %s", got)
	}
	unknown := sampledSets()[:1]
	unknown[0].Windows = unknown[0].Windows[:1]
	show(unknown)
	if got := row(c); !strings.Contains(got, `<td class="name" colspan="10">not known: nothing was observed for 2s`) {
		t.Errorf("of a window that is not known the page has %s", got)
	}
}
