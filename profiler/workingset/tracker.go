package workingset

import (
	"fmt"
	"time"
)

// Window is what was touched between two re-arms. Times are on one clock; Touched has each granule at
// most once, in order of touch.
type Window struct {
	Start, End time.Duration
	Touched    []uint64
}

// Stats are the granules of one region at the end of a window.
type Stats struct {
	Touched int // in the window
	New     int // of them, for the first time since observation began
	Reused  int // of them, touched in an earlier window
	Ever    int // touched since observation began
	Never   int // of the region's granules, not touched since
}

// Tracker follows one region over windows. It is not safe for concurrent use.
type Tracker struct {
	last  map[uint64]time.Duration // end of the last window that touched it
	began time.Duration            // of the windows without a gap
	end   time.Duration
	any   bool
	gap   bool // before the next window
}

// Add takes the next window and returns its statistics; granules is how many the region has. Windows
// must not overlap, and must be given in order.
func (t *Tracker) Add(w Window, granules int) (Stats, error) {
	if w.End < w.Start || t.any && w.Start < t.end {
		return Stats{}, fmt.Errorf("window from %v to %v after one that ended at %v", w.Start, w.End, t.end)
	}
	if !t.any {
		t.last, t.any, t.gap = make(map[uint64]time.Duration), true, true
	}
	if t.gap {
		t.began, t.gap = w.Start, false
	}
	t.end = w.End
	var s Stats
	for _, g := range w.Touched {
		at, seen := t.last[g]
		if seen && at == w.End {
			continue
		}
		t.last[g] = w.End
		s.Touched++
		if seen {
			s.Reused++
		} else {
			s.New++
		}
	}
	s.Ever = len(t.last)
	s.Never = max(granules-s.Ever, 0)
	return s, nil
}

// Gap says that the window that comes next does not follow on the last one, or that what it will show
// was not all: how long something has been idle is counted from the next window on.
func (t *Tracker) Gap() { t.gap = true }

// Knows reports whether a granule was touched before.
func (t *Tracker) Knows(granule uint64) bool {
	_, ok := t.last[granule]
	return ok
}

// Ever is the number of granules that were touched since observation began.
func (t *Tracker) Ever() int { return len(t.last) }

// Covers reports whether observation without a gap is so long.
func (t *Tracker) Covers(length time.Duration) bool { return t.any && t.end-t.began >= length }

// Each calls yield for every granule that was touched, with the end of the last window that touched it, in no
// order. It has been idle since then at least: a touch may have been made at any time within its window.
func (t *Tracker) Each(yield func(granule uint64, end time.Duration) bool) {
	for g, at := range t.last {
		if !yield(g, at) {
			return
		}
	}
}

// Keep forgets the granules that are not to be kept: those that are no longer observed would look idle.
func (t *Tracker) Keep(keep func(granule uint64) bool) {
	for g := range t.last {
		if !keep(g) {
			delete(t.last, g)
		}
	}
}
