package profiler

import (
	"errors"
	"fmt"
	"iter"
	"slices"
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
	core    part  // what was observed in all windows
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
	// Share of the region that was observed all through the window. Below 1 the sizes are estimates from it,
	// and those that look back, New to Idle10m without Mapped, from the least share of all windows. Errors
	// are their standard errors.
	Share  float64
	Errors WindowErrors
}

// WindowErrors are the standard errors of a window's sizes, in bytes; 0 where all of the region was observed.
type WindowErrors struct {
	Touched, New, Reused, Never, Idle30s, Idle2m, Idle10m int64
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
	now := stats.partIn(d)
	if pause := stats.paused(now.since, d.EndMono); pause > 0 {
		out.Err = fmt.Errorf("nothing was observed for %v of the window, to keep the budget", pause)
		return out
	}
	if r.history == nil || now.limit < r.core.limit {
		r.narrow(now)
	}
	win := workingset.Window{Start: d.StartMono, End: d.EndMono}
	var touched, fresh, again []uint64
	for _, f := range d.Faults {
		if f.Region != id {
			continue
		}
		g := uint64(f.Offset) / uint64(stats.Granule)
		if now.has(g) {
			touched = append(touched, g)
		}
		if r.core.has(g) {
			win.Touched = append(win.Touched, g)
			r.reuse.Touch(g)
		}
	}
	slices.Sort(touched)
	seen := slices.Clone(win.Touched)
	slices.Sort(seen)
	for _, g := range slices.Compact(seen) {
		if r.tracker.Seen(g) {
			again = append(again, g)
		} else {
			fresh = append(fresh, g)
		}
	}
	if _, err := r.tracker.Add(win, 0); err != nil {
		out.Err = err
		return out
	}
	if r.history = append(r.history, win); len(r.history) > windowHistory {
		r.history = r.history[1:]
	}
	e := &out.Errors
	out.Share, out.Mapped = now.Share(), stats.Mapped
	out.Touched, e.Touched = now.bytes(slices.Values(slices.Compact(touched)))
	out.New, e.New = r.core.bytes(slices.Values(fresh))
	out.Reused, e.Reused = r.core.bytes(slices.Values(again))
	ever, err := r.core.bytes(r.idleFor(0))
	granule := int64(stats.Granule)
	out.Never, e.Never = max((stats.Mapped+granule-1)/granule*granule-ever, 0), err
	out.Idle30s, e.Idle30s = r.idle(30 * time.Second)
	out.Idle2m, e.Idle2m = r.idle(2 * time.Minute)
	out.Idle10m, e.Idle10m = r.idle(10 * time.Minute)
	return out
}

// narrow restricts what looks back to what is observed still.
func (r *windowed) narrow(p part) {
	r.core = p
	r.tracker.Keep(p.has)
	r.reuse.Shown(p.Share(), p.has)
	for i := range r.history {
		r.history[i].Touched = slices.DeleteFunc(r.history[i].Touched, func(g uint64) bool { return !p.has(g) })
	}
}

// idleFor lists the granules that were touched and then not for at least so long.
func (r *windowed) idleFor(least time.Duration) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for g, idle := range r.tracker.Each {
			if idle >= least && !yield(g) {
				return
			}
		}
	}
}

func (r *windowed) idle(least time.Duration) (bytes, err int64) {
	if _, ok := r.tracker.Idle(least); !ok {
		return -1, 0
	}
	return r.core.bytes(r.idleFor(least))
}

// Curve is the size of a region's working set in granules over the number of windows, from the last 256
// windows at most; see workingset.Curve. errors are the standard errors of its points, 0 where all of the region
// was observed. nil for a region that is not among them.
func (w *Windows) Curve(id RegionID) (c workingset.Curve, errors []float64) {
	for _, r := range w.regions {
		if r.region.ID() != id {
			continue
		}
		c = workingset.NewCurve(r.history, len(r.history))
		p := r.core
		for i := range c {
			c[i] *= p.scale()
		}
		if p.Share() == 1 {
			return c, make([]float64, len(c))
		}
		return c, workingset.CurveErrors(r.history, len(c), p.block, func(sum, squares float64) float64 {
			return (&spread{sum * p.scale(), squares * p.scale() * p.scale()}).error(p.SamplingStep)
		})
	}
	return nil, nil
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
