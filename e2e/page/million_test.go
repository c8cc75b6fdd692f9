package page

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/profiler"
)

// A million first touches of a region of a TiB are read and drawn, each counted, and the page stays one that
// can be zoomed. How long that took is printed and not judged: the machine may be busy.
func TestMillionFaults(t *testing.T) {
	const faults, size = 1_000_000, 1 << 40
	b := profiler.NewSnapshotBuilder()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b.SetTime(start, start.Add(time.Minute), time.Hour, time.Hour+time.Minute)
	r := b.AddRegion(profiler.RegionStats{Name: "/data/large.db", Kind: profiler.KindAttached, Granule: 4096, Size: size, Mapped: size})
	rnd := rand.New(rand.NewPCG(1, 2))
	var stacks []profiler.StackID
	for i := range 50 {
		stacks = append(stacks, b.AddStack([]uintptr{uintptr(0x1000 + i), 0x2000, 0x3000}))
	}
	stall := time.Duration(0)
	for i := range faults {
		f := profiler.Fault{Seq: uint64(i), Region: r, Time: time.Hour + time.Duration(i)*60*time.Microsecond, Offset: rnd.Int64N(size/4096) * 4096,
			Stall: time.Duration(1000 + rnd.IntN(100_000)), Thread: int32(i % 16), Goroutine: uint64(i % 300), Stack: stacks[i%50], Messages: 1, Source: profiler.SourceDisk}
		f.Address = 0x7e0000000000 + uintptr(f.Offset)
		stall += f.Stall
		b.AddFault(f)
	}
	path := filepath.Join(t.TempDir(), "million.ftr")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := recording.Write(out, recording.New(b.Snapshot(), "a million")); err != nil {
		t.Fatal(err)
	}
	st, err := out.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := open(t, serve(t, path))
	if n := number(t, tiles(t, ctx, "selection")["First touches"]); n != faults {
		t.Errorf("%d faults are shown, want %d", n, faults)
	}
	if got := eval[int64](t, ctx, "firsttouch.r.faults.stall.reduce((a, b) => a + b, 0)"); got != int64(stall) {
		t.Errorf("they waited %v, want %v", time.Duration(got), stall)
	}
	brush(t, ctx, 0.25, 0.25, 0.75, 0.75)
	if n := number(t, tiles(t, ctx, "selection")["First touches"]); n < faults/5 || n > faults/3 {
		t.Errorf("%d faults in a quarter of the picture, want about %d", n, faults/4)
	}
	t.Logf("%d bytes; read and drawn in %.0f ms: %v; zoomed in %.0f ms", st.Size(), eval[float64](t, ctx, "firsttouch.timing.milliseconds"),
		eval[map[string]float64](t, ctx, "firsttouch.timing"), eval[float64](t, ctx, "(() => { const began = performance.now(); document.querySelector('#reset').click(); return performance.now() - began })()"))
}
