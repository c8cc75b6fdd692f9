package profiler

import (
	"errors"
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/profiler/workingset"
)

// windowed is one region and what its windows showed. Its owner's mutex guards what WorkingSets
// reads, that of the fold guards touches.
type windowed struct {
	region  *Region
	touches touches
	start   time.Duration // of the present window
	dropped uint64        // records, at start
	armed   error         // why the present window shows only what had never been touched, nil where it shows all
	tracker workingset.Tracker
	granule int64
	past    []RegionWindow
	history []workingset.Window
	kept    int // touches in history
	// starts are those of the last windows without one that is not known, in order.
	starts []time.Duration
}

// touches are the granules of a region that were touched in the present window, in order. The fold adds
// to them.
type touches struct {
	order []uint64 // with fromDisk
	seen  bitmap
}

// fromDisk marks a granule that came from the disk.
const fromDisk = 1 << 63

func (t *touches) add(granule uint64, disk bool) {
	if !t.seen.add(granule) {
		return
	}
	if disk {
		granule |= fromDisk
	}
	t.order = append(t.order, granule)
}

// cut is what the fold knows of a region at the end of a window.
type cut struct {
	order           []uint64
	now             time.Duration
	granule, mapped int64
	dropped         uint64
}

// armTries and armPause bound how long a region may resist because the other threads cannot be stopped.
const (
	armTries = 5
	armPause = 10 * time.Millisecond
)

// arm begins a window. What is touched between the end of the last one and this belongs to the new one.
func (r *windowed) arm() {
	for try := 1; ; try++ {
		if r.armed = r.region.Rearm(); try == armTries || !errors.Is(r.armed, ErrBusy) {
			return
		}
		time.Sleep(armPause)
	}
}

// What is remembered for WorkingSets: so many windows, and so many touches in them.
const (
	windowHistory = 256
	touchHistory  = 2 << 20
)

// end takes what a region showed in the window.
func (r *windowed) end(c cut) RegionWindow {
	out := r.ended(c)
	if r.past = append(r.past, out); len(r.past) > windowHistory {
		r.past = r.past[1:]
	}
	return out
}

func (r *windowed) ended(c cut) RegionWindow {
	r.granule = c.granule
	out := RegionWindow{Region: r.region.ID(), Start: r.start, End: c.now, Err: r.armed}
	dropped := c.dropped - r.dropped
	r.start, r.dropped = c.now, c.dropped
	if out.Err == nil && dropped > 0 {
		out.Err = fmt.Errorf("%d records were dropped: the window is not complete (WithRing)", dropped)
	}
	if out.Err != nil {
		r.tracker.Gap()
		r.starts = nil
		return out
	}
	win := workingset.Window{Start: out.Start, End: out.End, Touched: make([]uint64, len(c.order))}
	for i, g := range c.order {
		win.Touched[i] = g &^ fromDisk
		if g&fromDisk != 0 && r.tracker.Knows(g&^fromDisk) {
			out.Reread += c.granule
		}
	}
	sums, err := r.tracker.Add(win, int((c.mapped+c.granule-1)/c.granule))
	if err != nil {
		out.Err = err
		return out
	}
	r.remember(win)
	out.Touched, out.New, out.Reused = int64(sums.Touched)*c.granule, int64(sums.New)*c.granule, int64(sums.Reused)*c.granule
	out.Mapped, out.Never = c.mapped, int64(sums.Never)*c.granule
	r.recent(&out, c.granule)
	return out
}

// remember keeps a window for WorkingSets.
func (r *windowed) remember(win workingset.Window) {
	r.history = append(r.history, win)
	r.kept += len(win.Touched)
	for len(r.history) > 1 && (len(r.history) > windowHistory || r.kept > touchHistory) {
		r.kept -= len(r.history[0].Touched)
		r.history = r.history[1:]
	}
	if r.starts = append(r.starts, win.Start); len(r.starts) > windowHistory {
		r.starts = r.starts[1:]
	}
}

// recent fills in what was touched in the last so long, and not for so long.
func (r *windowed) recent(out *RegionWindow, granule int64) {
	var times []time.Duration
	var to []*int64
	for _, v := range []struct {
		length time.Duration
		to     *int64
	}{{time.Second, &out.Touched1s}, {10 * time.Second, &out.Touched10s}, {time.Minute, &out.Touched60s}} {
		*v.to = -1
		if since, ok := nearest(r.starts, out.End, v.length); ok {
			times, to = append(times, since), append(to, v.to)
		}
	}
	idles := len(to)
	for _, v := range []struct {
		least time.Duration
		to    *int64
	}{{30 * time.Second, &out.Idle30s}, {2 * time.Minute, &out.Idle2m}, {10 * time.Minute, &out.Idle10m}} {
		*v.to = -1
		if r.tracker.Covers(v.least) {
			times, to = append(times, out.End-v.least), append(to, v.to)
		}
	}
	for i, n := range r.tracker.TouchedAfter(times...) {
		if i >= idles {
			n = r.tracker.Ever() - n
		}
		*to[i] = int64(n) * granule
	}
}

// nearest finds the window with which a stretch up to end begins that is as long as wanted, give or take
// a fifth.
func nearest(starts []time.Duration, end, length time.Duration) (start time.Duration, ok bool) {
	best := length / 5
	for _, s := range starts {
		if off := (end - s - length).Abs(); off <= best {
			best, start, ok = off, s, true
		}
	}
	return start, ok
}
