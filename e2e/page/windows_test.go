package page

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/profiler"
)

// Of windows in which a part of a region was observed the page shows the share, the estimates and their standard errors; of
// those that are not known a question mark; and where all was observed, nothing of errors.
func TestSampledWindows(t *testing.T) {
	const KiB = 1 << 10
	b := profiler.NewSnapshotBuilder()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b.SetTime(start, start.Add(time.Minute), time.Hour, time.Hour+time.Minute)
	cache := b.AddRegion(profiler.RegionStats{Name: "cache", Granule: 4096, Size: 1 << 20, Mapped: 1 << 20})
	file := b.AddRegion(profiler.RegionStats{Name: "/data/whole.db", Granule: 4096, Size: 1 << 20, Mapped: 1 << 20})
	window := func(r profiler.RegionID, n int, w profiler.RegionWindow) profiler.RegionWindow {
		w.Region, w.Start, w.End, w.Mapped = r, time.Hour+time.Duration(n)*10*time.Second, time.Hour+time.Duration(n+1)*10*time.Second, 1<<20
		w.Touched1s, w.Touched60s = -1, -1
		return w
	}
	list := []profiler.RegionWindow{
		// A share that has all bits of a double, as that of blocks has.
		window(cache, 0, profiler.RegionWindow{Share: 1. / 3, Touched: 512 * KiB, New: 512 * KiB, Never: 512 * KiB, Touched10s: 512 * KiB, Idle30s: -1, Idle2m: -1, Idle10m: -1,
			Errors: profiler.WindowErrors{Touched: 40 * KiB, New: 41 * KiB, Never: 42 * KiB, Touched10s: 43 * KiB}}),
		window(cache, 1, profiler.RegionWindow{Err: errors.New("nothing was observed for 2s of the window, to keep the budget")}),
		// More is observed again, but what looks back is estimated from less.
		window(cache, 2, profiler.RegionWindow{Share: 0.75, Touched: 256 * KiB, New: 8 * KiB, Reused: 270 * KiB, Reread: 4 * KiB, Never: 504 * KiB, Touched10s: 278 * KiB, Idle30s: 96 * KiB, Idle2m: 64 * KiB, Idle10m: 0,
			Errors: profiler.WindowErrors{Touched: 20 * KiB, New: 6 * KiB, Reused: 30 * KiB, Never: 44 * KiB, Touched10s: 31 * KiB, Idle30s: 18 * KiB, Idle2m: 16 * KiB},
			Actors: [...]profiler.WindowActor{profiler.ActorProgram: {Touched: 64 * KiB, Error: 9 * KiB}, profiler.ActorGC: {Touched: 192 * KiB, Error: 18 * KiB}, profiler.ActorUnknown: {}}}),
	}
	whole := window(file, 0, profiler.RegionWindow{Share: 1, Touched: 64 * KiB, Reused: 64 * KiB, Never: 128 * KiB, Touched10s: 64 * KiB, Idle30s: 32 * KiB, Idle2m: 16 * KiB, Idle10m: 8 * KiB})
	r := recording.New(b.Snapshot(), "windows")
	r.WorkingSets = []profiler.WorkingSet{
		{Region: cache, Windows: list, Sample: 0.25,
			Curve:  []profiler.CurvePoint{{Windows: 1, Length: 10 * time.Second, Bytes: 384 * KiB, Error: 25 * KiB}, {Windows: 2, Length: 20 * time.Second, Bytes: 500 * KiB, Error: 35 * KiB}},
			Misses: []profiler.MissPoint{{Bytes: 1 << 20, Miss: 0.5, Error: 0.03}}},
		{Region: file, Windows: []profiler.RegionWindow{whole}, Sample: 1,
			Curve:  []profiler.CurvePoint{{Windows: 1, Length: 10 * time.Second, Bytes: 64 * KiB}},
			Misses: []profiler.MissPoint{{Bytes: 1 << 20, Miss: 0.5}}},
	}
	path := filepath.Join(t.TempDir(), "windows.ftr")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(recording.Write(out, r), out.Close()); err != nil {
		t.Fatal(err)
	}
	ctx := open(t, serve(t, path)+"#tab=windows&region=0")
	defer run(t, ctx, chromedp.Navigate("about:blank")) // before the server ends
	if got := eval[[]float64](t, ctx, "firsttouch.r.windows.map(w => w.share)"); !slices.Equal(got, []float64{1. / 3, 0, 0.75, 1}) {
		t.Errorf("the shares are %v", got)
	}
	// rows are the texts of a table, its head first.
	rows := func(id string) (all []string) {
		t.Helper()
		for _, cells := range eval[[][]string](t, ctx, "[...document.querySelectorAll('#"+id+" tr')].map(r => [...r.children].map(c => c.textContent))") {
			all = append(all, strings.Join(cells, " | "))
		}
		return all
	}
	check := func(id string, want ...string) {
		t.Helper()
		if got := rows(id); !slices.Equal(got, want) {
			t.Errorf("the table of %s is\n%s\nwant\n%s", id, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	check("windows",
		"from | to | observed | touched | of mapped | new | used again | from disk again | last 10 s | idle 30 s | idle 2 min | idle 10 min | never | by program | by gc | ",
		"20.0 s | 30.0 s | 75.0% | 256 KiB ± 20.0 KiB | 25.0% | 8.00 KiB ± 6.00 KiB | 270 KiB ± 30.0 KiB | 4.00 KiB | 278 KiB ± 31.0 KiB | 96.0 KiB ± 18.0 KiB | 64.0 KiB ± 16.0 KiB | 0 B | 504 KiB ± 44.0 KiB | 64.0 KiB ± 9.00 KiB | 192 KiB ± 18.0 KiB | ",
		"10.0 s | 20.0 s | ? | ? | ? | ? | ? | ? | ? | ? | ? | ? | ? | ? | ? | nothing was observed for 2s of the window, to keep the budget",
		"0 ns | 10.0 s | 33.3% | 512 KiB ± 40.0 KiB | 50.0% | 512 KiB ± 41.0 KiB | 0 B | 0 B | 512 KiB ± 43.0 KiB | – | – | – | 512 KiB ± 42.0 KiB | 0 B | 0 B | ")
	check("curve", "windows in a row | length | touched, mean | ± error", "1 | 10.0 s | 384 KiB | 25.0 KiB", "2 | 20.0 s | 500 KiB | 35.0 KiB")
	check("misses", "cache | misses | ± error | reused at that distance", "1.00 MiB | 50.0% | 3.00% | 50.0%")
	if titles := eval[string](t, ctx, "document.querySelector('#windows-chart').textContent"); !strings.Contains(titles, "touched 256 KiB ± 20.0 KiB, new 8.00 KiB ± 6.00 KiB") {
		t.Errorf("the bars say %q", titles)
	}
	run(t, ctx, chromedp.Click("#regions tbody tr:nth-child(2) button"))
	check("windows",
		"from | to | touched | of mapped | new | used again | from disk again | last 10 s | idle 30 s | idle 2 min | idle 10 min | never",
		"0 ns | 10.0 s | 64.0 KiB | 6.25% | 0 B | 64.0 KiB | 0 B | 64.0 KiB | 32.0 KiB | 16.0 KiB | 8.00 KiB | 128 KiB")
	check("curve", "windows in a row | length | touched, mean", "1 | 10.0 s | 64.0 KiB")
	check("misses", "cache | misses | ± error | reused at that distance", "1.00 MiB | 50.0% | exact | 50.0%")
}
