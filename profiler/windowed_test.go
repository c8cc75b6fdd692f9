package profiler

import (
	"errors"
	"testing"
	"time"
)

// whole is all of a region with granules of 10 bytes.
var whole = part{SamplingStep: SamplingStep{limit: allBlocks}, granule: 10}

// Windows of 5 s over one granule of each kind: what is touched in the last so long and not for so long,
// until a window is not known.
func TestWindowedRecency(t *testing.T) {
	r := &windowed{region: &Region{}}
	n := 0
	window := func(granules ...windowTouch) RegionWindow {
		n++
		return r.end(cut{order: granules, now: time.Duration(n) * 5 * time.Second, granule: 10, mapped: 100, part: whole})
	}
	// until lets windows pass in which nothing is touched, up to the one that ends at that second.
	until := func(second int) (last RegionWindow) {
		for n < second/5 {
			last = window()
		}
		return last
	}
	type recent struct{ s1, s10, s60, i30, i2m, i10m int64 }
	check := func(what string, w RegionWindow, want recent) {
		t.Helper()
		if got := (recent{w.Touched1s, w.Touched10s, w.Touched60s, w.Idle30s, w.Idle2m, w.Idle10m}); w.Err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", what, got, w.Err, want)
		}
	}
	check("5 s", window(1, 2), recent{-1, -1, -1, -1, -1, -1})
	check("10 s", window(2, 3|fromDisk), recent{-1, 30, -1, -1, -1, -1})
	for range 3 {
		window(4)
	}
	check("30 s", window(4), recent{-1, 10, -1, 0, -1, -1})
	check("35 s", window(2|fromDisk), recent{-1, 20, -1, 10, -1, -1})
	check("60 s", until(60), recent{-1, 0, 40, 30, -1, -1})
	check("115 s", until(115), recent{-1, 0, 0, 40, -1, -1})
	check("2 min", until(120), recent{-1, 0, 0, 40, 0, -1})
	check("2 min 5 s", window(5), recent{-1, 10, 10, 40, 10, -1}) // 1 was last touched in the window that ended 2 min before
	check("2 min 30 s", until(150), recent{-1, 0, 10, 40, 30, -1})
	check("9 min 55 s", until(595), recent{-1, 0, 0, 50, 50, -1})
	check("10 min", until(600), recent{-1, 0, 0, 50, 50, 0})
	check("10 min 5 s", window(3), recent{-1, 10, 10, 40, 40, 10})
	check("10 min 35 s", until(635), recent{-1, 0, 10, 50, 40, 30})
	check("12 min 10 s", until(730), recent{-1, 0, 0, 50, 50, 40})
	r.armed = errors.New("busy")
	if w := window(1); w.Err == nil || w.Touched != 0 {
		t.Errorf("a window that was not armed: %+v", w)
	}
	r.armed = nil
	check("after it", window(5), recent{-1, -1, -1, -1, -1, -1})
}

// In a part of a window nothing was observed, to keep the budget: it is not known and says why, what was touched in it
// is new when it is touched next, and what is idle is counted from its end on.
func TestWindowedPause(t *testing.T) {
	r := &windowed{region: &Region{}}
	n := 0
	window := func(paused time.Duration, granules ...windowTouch) RegionWindow {
		n++
		return r.end(cut{order: granules, now: time.Duration(n) * 5 * time.Second, granule: 10, mapped: 100, part: whole, paused: paused})
	}
	window(0, 1, 2)
	for n < 6 {
		window(0)
	}
	if w := window(0, 1); w.Err != nil || w.Idle30s != 10 || w.Never != 80 {
		t.Errorf("before the pause: %+v", w)
	}
	w := window(1500*time.Millisecond, 1, 4)
	if w.Err == nil || w.Err.Error() != "nothing was observed for 1.5s of the window, to keep the budget" {
		t.Errorf("the window of the pause: %v", w.Err)
	}
	if w.Err = nil; w != (RegionWindow{Start: 35 * time.Second, End: 40 * time.Second}) {
		t.Errorf("the window of the pause has sizes: %+v", w)
	}
	w = window(0, 1, 4)
	if w.Err != nil || w.Share != 1 || w.Touched != 20 || w.New != 10 || w.Reused != 10 || w.Never != 70 || w.Touched10s != -1 || w.Idle30s != -1 {
		t.Errorf("after the pause: %+v", w)
	}
	for n < 13 {
		if w = window(0); w.Idle30s != -1 {
			t.Errorf("%v after the pause idle for 30 s is %d", w.End-40*time.Second, w.Idle30s)
		}
	}
	if w = window(0, 1); w.Idle30s != 10 || w.Idle2m != -1 || w.Idle10m != -1 {
		t.Errorf("30 s after the pause: %+v", w)
	}
	if len(r.past) != 14 || len(r.history) != 13 {
		t.Errorf("%d windows are told and %d are in the curves, want 14 and all but the one of the pause", len(r.past), len(r.history))
	}
}

func TestWindowedRereads(t *testing.T) {
	r := &windowed{region: &Region{}}
	r.end(cut{order: []windowTouch{1 | fromDisk, 2}, now: time.Second, granule: 10, mapped: 100, part: whole})
	w := r.end(cut{order: []windowTouch{1 | fromDisk, 2 | fromDisk, 3 | fromDisk, 4}, now: 2 * time.Second, granule: 10, mapped: 100, part: whole})
	if w.Touched != 40 || w.New != 20 || w.Reused != 20 || w.Reread != 20 {
		t.Errorf("%+v", w)
	}
}

func TestPhases(t *testing.T) {
	for _, c := range []struct {
		w    RegionWindow
		want Phase
	}{
		{RegionWindow{Mapped: 10, Never: 10}, PhaseCold},
		{RegionWindow{Mapped: 10}, PhaseSteady},
		{RegionWindow{Touched: 100, New: 51, Reused: 49}, PhaseCold},
		{RegionWindow{Touched: 100, New: 50, Reused: 50}, PhaseWarming},
		{RegionWindow{Touched: 100, New: 5, Reused: 95}, PhaseSteady},
		{RegionWindow{Touched: 100, New: 40, Reused: 60, Reread: 11}, PhaseThrashing},
		{RegionWindow{Mapped: 165 << 20, Touched: 28 << 10, Reused: 28 << 10, Reread: 4 << 10}, PhaseSteady}, // one page again is no thrashing
		{RegionWindow{Mapped: 165 << 20, Touched: 8 << 10, New: 8 << 10}, PhaseSteady},
		{RegionWindow{Mapped: 165 << 20, Touched: 8 << 20, Reused: 8 << 20, Reread: 1 << 20}, PhaseThrashing},
		{RegionWindow{Mapped: 10 << 20, Touched: 1 << 20, Reused: 1 << 20, Reread: 110 << 10}, PhaseThrashing}, // 1% of it
		{RegionWindow{Err: errors.New("busy")}, ""},
	} {
		if got := c.w.Phase(); got != c.want {
			t.Errorf("%+v is %q, want %q", c.w, got, c.want)
		}
	}
}
