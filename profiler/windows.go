package profiler

import (
	"errors"
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/profiler/workingset"
)

// Windows divides the observation of some regions into windows: each call of Next ends one and arms the
// regions again. Its methods have one caller at a time. A Snapshot.Sub over several windows, and other
// calls of Rearm for the same regions, see or make windows of their own: leave the regions to one.
type Windows struct {
	p       *Profiler
	regions []*windowed
	before  *Snapshot
}

// windowed is one region and what its windows showed.
type windowed struct {
	region  *Region
	tracker workingset.Tracker
	reuse   *workingset.Reuse
	history []workingset.Window
	armed   error // why the present window shows only what had never been touched, nil where it shows all
}

// RegionWindow is what one region showed in one window. Sizes are in bytes.
type RegionWindow struct {
	Region     RegionID
	Start, End time.Duration // CLOCK_MONOTONIC
	// Err says why the region could not be armed at the start of the window, so that nothing is known of
	// what was touched before; the sizes are then absent.
	Err error
	// Touched in the window; of that New for the first time since Windows began, and Reused.
	Touched, New, Reused int64
	// Mapped and Never: observed now, and of that not touched in any window.
	Mapped, Never int64
	// Idle30s, Idle2m and Idle10m were touched and then not for at least so long; -1 while the windows do
	// not reach back so far.
	Idle30s, Idle2m, Idle10m int64
}

// windowHistory bounds how many windows the curve of the working set is computed from.
const windowHistory = 256

// NewWindows begins windows over the regions, and arms them. sample is the share of the granules whose
// reuse is followed, above 0 and at most 1. A region that cannot be armed says so in its windows.
func (p *Profiler) NewWindows(sample float64, regions ...*Region) (*Windows, error) {
	if len(regions) == 0 {
		return nil, fmt.Errorf("%w: windows need a region", ErrInvalid)
	}
	w := &Windows{p: p}
	for _, r := range regions {
		reuse, err := workingset.NewReuse(sample)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		w.regions = append(w.regions, &windowed{region: r, reuse: reuse})
	}
	w.begin(p.Snapshot())
	return w, nil
}

// begin arms every region for the next window. The snapshot was taken before that: what is touched
// in between belongs to the next window, in which it does not fault again.
func (w *Windows) begin(s *Snapshot) {
	w.before = s
	for _, r := range w.regions {
		r.armed = r.region.Rearm()
	}
}

// Next ends the window and begins the next one. The error is that of regions that could not be armed for
// the next one; the answer is good nevertheless.
func (w *Windows) Next() ([]RegionWindow, error) {
	s := w.p.Snapshot()
	d := s.Sub(w.before)
	var out []RegionWindow
	for _, r := range w.regions {
		out = append(out, r.end(d))
	}
	w.begin(s)
	var errs []error
	for _, r := range w.regions {
		errs = append(errs, r.armed)
	}
	return out, errors.Join(errs...)
}

// end takes what a region showed in the window d.
func (r *windowed) end(d *Snapshot) RegionWindow {
	id := r.region.ID()
	stats := &d.Regions[id]
	out := RegionWindow{Region: id, Start: d.StartMono, End: d.EndMono, Err: r.armed}
	if r.armed != nil {
		return out
	}
	if d.Stats.Dropped > 0 || d.Stats.LogCut > 0 {
		out.Err = fmt.Errorf("%d records were dropped and %d did not fit into the log: the window is not complete (WithRing, WithLogLimit)", d.Stats.Dropped, d.Stats.LogCut)
		return out
	}
	win := workingset.Window{Start: d.StartMono, End: d.EndMono}
	for _, f := range d.Faults {
		if f.Region == id {
			g := uint64(f.Offset) / uint64(stats.Granule)
			win.Touched = append(win.Touched, g)
			r.reuse.Touch(g)
		}
	}
	granule := int64(stats.Granule)
	sums, err := r.tracker.Add(win, int((stats.Mapped+granule-1)/granule))
	if err != nil {
		out.Err = err
		return out
	}
	if r.history = append(r.history, win); len(r.history) > windowHistory {
		r.history = r.history[1:]
	}
	out.Touched, out.New, out.Reused = int64(sums.Touched)*granule, int64(sums.New)*granule, int64(sums.Reused)*granule
	out.Mapped, out.Never = stats.Mapped, int64(sums.Never)*granule
	out.Idle30s, out.Idle2m, out.Idle10m = r.idle(30*time.Second, granule), r.idle(2*time.Minute, granule), r.idle(10*time.Minute, granule)
	return out
}

func (r *windowed) idle(least time.Duration, granule int64) int64 {
	if n, ok := r.tracker.Idle(least); ok {
		return int64(n) * granule
	}
	return -1
}

// Curve is the size of a region's working set in granules over the number of windows, from the last 256
// windows at most; see workingset.Curve. nil for a region that is not among them.
func (w *Windows) Curve(id RegionID) workingset.Curve {
	for _, r := range w.regions {
		if r.region.ID() == id {
			return workingset.NewCurve(r.history, len(r.history))
		}
	}
	return nil
}

// MissRatio estimates which share of a region's first touches per window a cache of so many granules
// would miss; see workingset.Reuse. nil for a region that is not among them.
func (w *Windows) MissRatio(id RegionID, sizes []float64) []workingset.Point {
	for _, r := range w.regions {
		if r.region.ID() == id {
			return r.reuse.MissRatio(sizes)
		}
	}
	return nil
}
