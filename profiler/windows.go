package profiler

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/profiler/workingset"
)

// Windows divides the observation of some regions into windows: each call of Next ends one and arms the
// regions again. Next and Add have one caller at a time; the other methods are safe for concurrent use.
// What others arm again meanwhile (Region.Rearm) does no harm: within a window a granule counts once.
//
// It remembers, for each granule that was ever touched, when that was, in some 50 bytes, and the last
// 256 windows or 2 million touches.
type Windows struct {
	p      *Profiler
	sample float64

	mu      sync.Mutex // guards what follows
	regions []*windowed
}

// RegionWindow is what one region showed in one window. Sizes are in bytes.
type RegionWindow struct {
	Region     RegionID
	Start, End time.Duration // CLOCK_MONOTONIC
	// Err says why the region could not be armed at the start of the window, so that nothing is known of
	// what was touched before, or why the window is not complete; the sizes are then absent.
	Err error
	// Touched in the window; of that New for the first time since Windows began, and Reused. Of what was
	// reused, Reread had to come from the disk again: the kernel had dropped it.
	Touched, New, Reused, Reread int64
	// Mapped and Never: observed now, and of that not touched in any window.
	Mapped, Never int64
	// Touched1s, Touched10s and Touched60s were touched in so long a time up to End. They are made of whole
	// windows that together are as long, give or take a fifth; -1 where no number of windows is, or they do
	// not reach back so far.
	Touched1s, Touched10s, Touched60s int64
	// Idle30s, Idle2m and Idle10m were touched and then not for at least so long; -1 while the windows do
	// not reach back so far. A window that is not known (Err) begins the time anew.
	Idle30s, Idle2m, Idle10m int64
}

// NewWindows begins windows over the regions, and arms them. sample is the share of the granules whose
// reuse MissRatio follows, above 0 and at most 1. A region that cannot be armed says so in its windows.
func (p *Profiler) NewWindows(sample float64, regions ...*Region) (*Windows, error) {
	if _, err := workingset.NewReuse(sample); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	w := &Windows{p: p, sample: sample}
	for _, r := range regions {
		w.Add(r)
	}
	return w, nil
}

// Add begins windows over another region, with one from now to the end of the present window.
func (w *Windows) Add(r *Region) {
	n := &windowed{region: r}
	n.start, n.dropped = w.p.watch(r.ID(), &n.touches)
	n.arm()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.regions = append(w.regions, n)
}

// Next ends the window and begins the next one. A region that was closed is in the answer for the last
// time. The error is that of the regions that could not be armed for the next window; the answer is good
// nevertheless.
func (w *Windows) Next() ([]RegionWindow, error) {
	w.mu.Lock()
	regions := slices.Clone(w.regions)
	w.mu.Unlock()
	cuts := w.p.cut(regions)
	var out []RegionWindow
	w.mu.Lock()
	for i, r := range regions {
		out = append(out, r.end(cuts[i]))
	}
	w.mu.Unlock()
	var errs []error
	for _, r := range regions {
		if r.arm(); errors.Is(r.armed, ErrClosed) {
			w.remove(r)
		} else {
			errs = append(errs, r.armed)
		}
	}
	return out, errors.Join(errs...)
}

func (w *Windows) remove(r *windowed) {
	w.p.unwatch(r.region.ID(), &r.touches)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.regions = slices.DeleteFunc(w.regions, func(o *windowed) bool { return o == r })
}

// Close ends the windows. The regions stay armed where they were not touched.
func (w *Windows) Close() {
	w.mu.Lock()
	regions := w.regions
	w.mu.Unlock()
	for _, r := range regions {
		w.remove(r)
	}
}

// Curve is the size of a region's working set in granules over the number of windows, from the last ones
// that are remembered; see workingset.Curve. nil for a region that is not among them.
func (w *Windows) Curve(id RegionID) workingset.Curve {
	h := w.history(id)
	return workingset.NewCurve(h, len(h))
}

// MissRatio estimates which share of a region's first touches per window a cache of so many granules
// would miss, over the windows that are remembered: a granule that was touched before them, and not in
// them, counts as new. See workingset.Reuse. nil for a region that is not among them, or was not touched.
func (w *Windows) MissRatio(id RegionID, sizes []float64) []workingset.Point {
	r, err := workingset.NewReuse(w.sample)
	if err != nil {
		return nil // checked by NewWindows
	}
	for _, win := range w.history(id) {
		for _, g := range win.Touched {
			r.Touch(g)
		}
	}
	return r.MissRatio(sizes)
}

// history returns the remembered windows, which do not change.
func (w *Windows) history(id RegionID) []workingset.Window {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.regions {
		if r.region.ID() == id {
			return slices.Clone(r.history)
		}
	}
	return nil
}
