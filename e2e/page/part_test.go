package page

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// A part that was brushed filters every panel, and each says that it does.
func TestPartFiltersRequestsAndLatency(t *testing.T) {
	at := serve(t, demoRecording(t))
	d := snapshot(t, at)
	ctx := open(t, at)
	requests := func() int {
		return eval[int](t, ctx, `Number(document.querySelector('#panel p').textContent.match(/[0-9,]+/)[0].replaceAll(',', ''))`)
	}
	all := requests()
	brush(t, ctx, 0.1, 0.1, 0.4, 0.6)
	var t0, t1, o0, o1 int64
	hash := eval[string](t, ctx, "new URLSearchParams(location.hash.slice(1)).get('part')")
	if _, err := fmt.Sscanf(hash, "%d_%d_%d_%d", &t0, &t1, &o0, &o1); err != nil {
		t.Fatal(hash, err)
	}
	traces, faults := map[string]bool{}, 0
	for _, f := range d.Faults {
		if f.TimeNS >= t0 && f.TimeNS <= t1 && f.OffsetBytes >= o0 && f.OffsetBytes < o1 {
			traces[f.TraceID] = true
			faults++
		}
	}
	delete(traces, "")
	if n := requests(); n != len(traces) || n == 0 || n >= all {
		t.Errorf("%d requests in the part, want %d, fewer than %d", n, len(traces), all)
	}
	if text := eval[string](t, ctx, "document.querySelector('#panel p').textContent"); !strings.Contains(text, "in the part above") {
		t.Errorf("the panel says %q", text)
	}
	run(t, ctx, chromedp.Click("#tab-latency"), chromedp.WaitVisible("#latency canvas"))
	if text := eval[string](t, ctx, "document.querySelector('#panel p').textContent"); !strings.HasPrefix(text, "The first touches of the part above.") {
		t.Errorf("the latency panel says %q", text)
	}
	run(t, ctx, chromedp.Click("#reset"))
	if text := eval[string](t, ctx, "document.querySelector('#panel p').textContent"); !strings.HasPrefix(text, "All first touches of the region") {
		t.Errorf("the latency panel says %q of all", text)
	}
}

// Pointing at a cell tells how many faults are there, when, where, and whose.
func TestHoverTells(t *testing.T) {
	ctx := open(t, serve(t, demoRecording(t)))
	until(t, ctx, "!document.querySelector('#findings-section').hidden") // they come last, and move the plot
	type point struct{ X, Y float64 }
	// The middle of the cell of some fault in the middle.
	p := eval[point](t, ctx, `(() => {
		const over = document.querySelector('#map .u-over')
		over.scrollIntoView({ block: 'center' })
		const box = over.getBoundingClientRect(), r = firsttouch.r, f = r.faults, region = r.regions.reduce((a, b) => b.faults > a.faults ? b : a)
		const all = f.time.map ? Array.from(f.time) : f.time, i = all.findIndex((_, i) => f.region[i] === region.id && i >= f.length / 2)
		const t1 = Math.max(r.origin.endMono, ...all.map((t, i) => t + f.stall[i])) - r.origin.startMono
		const first = Math.min(...all) - r.origin.startMono, margin = (t1 - first) / 100 + 1, t0 = Math.max(first - margin, 0), end = t1 + margin
		return { x: box.x + (f.time[i] - r.origin.startMono - t0) / (end - t0) * box.width, y: box.y + (1 - (f.offset[i] + 2048) / region.size) * box.height }
	})()`)
	for range 40 { // a cell has 4 pixels; look around for one that is not empty
		run(t, ctx, chromedp.MouseEvent("mouseMoved", p.X, p.Y))
		time.Sleep(60 * time.Millisecond) // the tip comes with the next frame
		if !eval[bool](t, ctx, "document.querySelector('#map-tip').hidden") {
			break
		}
		p.X++
	}
	tip := eval[string](t, ctx, "document.querySelector('#map-tip').innerText")
	for _, want := range []string{"first touch", "waited", " to ", "offset", ".go:"} {
		if !strings.Contains(tip, want) {
			t.Errorf("%q is missing from the tip %q", want, tip)
		}
	}
	// Where nothing is, nothing is told.
	run(t, ctx, chromedp.MouseEvent("mouseMoved", 2, 2), chromedp.KeyEvent(kb.Escape))
	until(t, ctx, "document.querySelector('#map-tip').hidden")
}
