package profiler

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// Windows divides the observation of some regions into windows: each call of Next ends one and arms the
// regions again. What others arm again meanwhile (Region.Rearm) does no harm: within a window a granule
// counts once. It is safe for concurrent use.
//
// Of a region that cannot be observed in part a share of the windows is, chosen by a hash of their number, where a
// share of its memory is asked for (SetSampling): the others are not known (ErrLeftOut), and cost no more than first
// touches of what was not touched in windows before.
//
// It remembers, for each granule that was ever touched, when that was, in some 50 bytes, and of each region
// the last 256 windows, of which the touches one by one up to 2 million.
type Windows struct {
	p    *Profiler
	turn sync.Mutex // held while regions are armed; taken before mu

	mu      sync.Mutex // guards what follows
	regions []*windowed
	known   []WorkingSet // what WorkingSets answered last; nil when something has changed
	// generation counts the changes.
	generation int
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
	// Share of the region that was observed all through the window. Below 1 the sizes are estimates from it,
	// and those that look beyond the window, from New to Idle10m without Mapped, from the least share of all
	// windows. Errors are their standard errors.
	Share  float64
	Errors WindowErrors
	// Actors divides what was Touched of the Go heap by on whose behalf it was touched first in the window; all 0 for
	// other regions. What one actor came to first does not show as another's that came to it later.
	Actors [ActorUnknown + 1]WindowActor
}

// ByActor goes over those actors that touched anything.
func (w *RegionWindow) ByActor(yield func(Actor, WindowActor) bool) {
	for i, a := range w.Actors {
		if a.Touched > 0 && !yield(Actor(i), a) {
			return
		}
	}
}

// WindowActor is what one actor touched before the others in a window, in bytes, and the standard error.
type WindowActor struct{ Touched, Error int64 }

// WindowErrors are the standard errors of a window's sizes, in bytes; 0 where all of the region was observed.
type WindowErrors struct {
	Touched, New, Reused, Never, Touched1s, Touched10s, Touched60s, Idle30s, Idle2m, Idle10m int64
}

// NewWindows begins windows over the regions, and arms them. A region that cannot be armed says so in its
// windows.
func (p *Profiler) NewWindows(regions ...*Region) *Windows {
	w := &Windows{p: p}
	w.Add(regions...)
	return w
}

// Add begins windows over further regions, with one from now to the end of the present window.
func (w *Windows) Add(regions ...*Region) {
	w.turn.Lock()
	defer w.turn.Unlock()
	var list []*windowed
	for _, r := range regions {
		n := &windowed{region: r}
		n.start, n.dropped = w.p.watch(r.ID(), &n.touches)
		list = append(list, n)
	}
	w.p.arm(list)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.regions, w.known = append(w.regions, list...), nil
	w.generation++
}

// Next ends the window and begins the next one. A region that was closed is in the answer for the last
// time. The error is that of the regions that could not be armed for the next window; the answer is good
// nevertheless.
func (w *Windows) Next() ([]RegionWindow, error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.mu.Lock()
	regions := slices.Clone(w.regions)
	w.mu.Unlock()
	cuts := w.p.cut(regions)
	var out []RegionWindow
	w.mu.Lock()
	for i, r := range regions {
		out = append(out, r.end(cuts[i]))
	}
	w.known = nil
	w.generation++
	w.mu.Unlock()
	w.p.arm(regions)
	var errs []error
	for _, r := range regions {
		switch {
		case errors.Is(r.armed, ErrClosed):
			w.remove(r)
		case !errors.Is(r.armed, ErrLeftOut):
			errs = append(errs, r.armed)
		}
	}
	return out, errors.Join(errs...)
}

func (w *Windows) remove(r *windowed) {
	w.p.unwatch(r.region.ID(), &r.touches)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.regions, w.known = slices.DeleteFunc(w.regions, func(o *windowed) bool { return o == r }), nil
	w.generation++
}

// Close ends the windows. The regions stay armed where they were not touched.
func (w *Windows) Close() {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.mu.Lock()
	regions := slices.Clone(w.regions)
	w.mu.Unlock()
	for _, r := range regions {
		w.remove(r)
	}
}
