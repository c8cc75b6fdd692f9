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
	window := func(granules ...uint64) RegionWindow {
		n++
		return r.end(cut{order: granules, now: time.Duration(n) * 5 * time.Second, granule: 10, mapped: 100, part: whole})
	}
	type recent struct{ s1, s10, s60, i30, i2m int64 }
	check := func(what string, w RegionWindow, want recent) {
		t.Helper()
		if got := (recent{w.Touched1s, w.Touched10s, w.Touched60s, w.Idle30s, w.Idle2m}); w.Err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", what, got, w.Err, want)
		}
	}
	check("first", window(1, 2), recent{-1, -1, -1, -1, -1})
	check("second", window(2, 3|fromDisk), recent{-1, 30, -1, -1, -1})
	for range 3 {
		window(4)
	}
	check("30 s", window(4), recent{-1, 10, -1, 0, -1})
	check("35 s", window(2|fromDisk), recent{-1, 20, -1, 10, -1})
	for n < 11 {
		window()
	}
	check("60 s", window(), recent{-1, 0, 40, 30, -1})
	r.armed = errors.New("busy")
	if w := window(1); w.Err == nil || w.Touched != 0 {
		t.Errorf("a window that was not armed: %+v", w)
	}
	r.armed = nil
	check("after it", window(5), recent{-1, -1, -1, -1, -1})
}

func TestWindowedRereads(t *testing.T) {
	r := &windowed{region: &Region{}}
	r.end(cut{order: []uint64{1 | fromDisk, 2}, now: time.Second, granule: 10, mapped: 100, part: whole})
	w := r.end(cut{order: []uint64{1 | fromDisk, 2 | fromDisk, 3 | fromDisk, 4}, now: 2 * time.Second, granule: 10, mapped: 100, part: whole})
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
		{RegionWindow{Err: errors.New("busy")}, ""},
	} {
		if got := c.w.Phase(); got != c.want {
			t.Errorf("%+v is %q, want %q", c.w, got, c.want)
		}
	}
}
