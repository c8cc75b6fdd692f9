package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/firsttouch/firsttouch/profiler"
)

// workingSets are those of a file that was observed whole, but for a window, and of a cache of which a part was observed:
// a half, then a quarter, then nothing, then all.
func workingSets() (*profiler.Snapshot, []profiler.WorkingSet) {
	const MiB = 1 << 20
	b := profiler.NewSnapshotBuilder()
	b.SetTime(time.Time{}, time.Time{}, time.Hour, time.Hour+time.Minute)
	file := b.AddRegion(profiler.RegionStats{Name: "/var/lib/app/index.db", Granule: 4096})
	cache := b.AddRegion(profiler.RegionStats{Name: "cache", Granule: 4096})
	heap := b.AddRegion(profiler.RegionStats{Name: "go heap", Kind: profiler.KindGoHeap, Granule: 4096})
	window := func(r profiler.RegionID, n int, w profiler.RegionWindow) profiler.RegionWindow {
		w.Region, w.Start, w.End = r, time.Hour+time.Duration(n)*10*time.Second, time.Hour+time.Duration(n+1)*10*time.Second
		return w
	}
	known := func(share float64, touched, fresh, never, last10s, idle30s, idle2m, idle10m int64, e profiler.WindowErrors) profiler.RegionWindow {
		return profiler.RegionWindow{Share: share, Touched: touched, New: fresh, Reused: touched - fresh, Mapped: 64 * MiB, Never: never,
			Touched1s: -1, Touched10s: last10s, Touched60s: -1, Idle30s: idle30s, Idle2m: idle2m, Idle10m: idle10m, Errors: e}
	}
	none := profiler.WindowErrors{}
	reread := known(1, 8*MiB, 0, 40*MiB, 8*MiB, 6*MiB, 2*MiB, 0, none)
	reread.Reread = 20 << 10
	collected := known(0.0625, 24*MiB, 24*MiB, 40*MiB, 24*MiB, -1, -1, -1,
		profiler.WindowErrors{Touched: 4 * MiB, New: 4 * MiB, Never: 4 * MiB, Touched10s: 4 * MiB})
	collected.Actors[profiler.ActorProgram] = profiler.WindowActor{Touched: 8 * MiB, Error: 3 * MiB}
	collected.Actors[profiler.ActorGC] = profiler.WindowActor{Touched: 16 * MiB, Error: 5 * MiB}
	return b.Snapshot(), []profiler.WorkingSet{
		{Region: file, Sample: 1,
			Windows: []profiler.RegionWindow{
				window(file, 0, known(1, 16*MiB, 16*MiB, 48*MiB, 16*MiB, -1, -1, -1, none)),
				window(file, 1, known(1, 20*MiB, 8*MiB, 40*MiB, 20*MiB, -1, -1, -1, none)),
				window(file, 2, profiler.RegionWindow{Err: errors.New("3 records were dropped: the window is not complete (WithRing)")}),
				window(file, 3, reread),
			},
			Curve:  []profiler.CurvePoint{{Windows: 1, Length: 10 * time.Second, Bytes: 15 * MiB}, {Windows: 2, Length: 20 * time.Second, Bytes: 24 * MiB}},
			Misses: []profiler.MissPoint{{Bytes: MiB, Miss: 1}, {Bytes: 8 * MiB, Miss: 0.9}, {Bytes: 32 * MiB, Miss: 0.25}}},
		{Region: cache, Sample: 0.25,
			Windows: []profiler.RegionWindow{
				window(cache, 0, known(0.5, 16*MiB, 16*MiB, 48*MiB, 16*MiB, -1, -1, -1,
					profiler.WindowErrors{Touched: 2 * MiB, New: 2 * MiB, Never: 2 * MiB, Touched10s: 2 * MiB})),
				window(cache, 1, known(0.25, 12*MiB, 4*MiB, 44*MiB, 12*MiB, 5*MiB, 3*MiB, 0,
					profiler.WindowErrors{Touched: 3 * MiB, New: 900 << 10, Reused: 5 * MiB / 2, Never: 4 * MiB, Touched10s: 3 * MiB, Idle30s: MiB, Idle2m: 700 << 10})),
				window(cache, 2, profiler.RegionWindow{Err: errors.New("nothing was observed for 2s of the window, to keep the budget")}),
				window(cache, 3, known(1, 10*MiB, 0, 44*MiB, 10*MiB, -1, -1, -1,
					profiler.WindowErrors{Reused: 2 * MiB, Never: 4 * MiB, Touched10s: 2 * MiB})),
			},
			Curve:  []profiler.CurvePoint{{Windows: 1, Length: 10 * time.Second, Bytes: 13 * MiB, Error: 5 * MiB / 2}, {Windows: 3, Length: 30 * time.Second, Bytes: 20 * MiB, Error: 4 * MiB}},
			Misses: []profiler.MissPoint{{Bytes: 4 * MiB, Miss: 0.8, Error: 0.04}, {Bytes: 32 * MiB, Miss: 0.55, Error: 0.012}}},
		{Region: heap, Windows: []profiler.RegionWindow{
			window(heap, 0, collected),
			window(heap, 1, profiler.RegionWindow{Err: errors.New("none of the heap's blocks of 2 MiB was observed for 2s of the window")}),
		}},
	}
}

// Windows that are not known say why. Where a part was observed, the share and the standard errors are there, and where all
// was, nothing of them.
func TestRenderWorkingSets(t *testing.T) {
	var out bytes.Buffer
	if err := report.RenderWorkingSets(&out, summary.WorkingSets(workingSets()), 3); err != nil {
		t.Fatal(err)
	}
	golden(t, "workingsets.txt", out.Bytes())
}

func TestWorkingSetsAsJSON(t *testing.T) {
	text, err := json.MarshalIndent(summary.WorkingSets(workingSets()), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "workingsets.json", append(text, '\n'))
}
