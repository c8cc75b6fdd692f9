package profiler

import (
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/profiler/workingset"
)

// WorkingSet is what the windows of one region showed. It is a value of plain data.
type WorkingSet struct {
	Region  RegionID
	Windows []RegionWindow // the last ones, oldest first, also those that are not known
	// Curve is the size of the working set over the length of a window, and Misses the miss-ratio curve, both
	// from those of the windows whose touches are remembered one by one. Empty without any.
	Curve  []CurvePoint
	Misses []MissPoint
	// Sample is the share of the granules that Misses follows, 1 for all.
	Sample float64
}

// CurvePoint is the mean size of the working set of so many windows in a row.
type CurvePoint struct {
	Windows int
	Length  time.Duration // of them, on average
	Bytes   int64
	Error   int64 // standard error, where a part of the region is observed
}

// MissPoint is the share of the first touches per window that a cache of Bytes with least recently used
// replacement would miss, 0 to 1, and the standard error that comes from sampling. What is used again
// within a window is not seen, so it is not the share of all accesses; see package workingset.
type MissPoint struct {
	Bytes       int64
	Miss, Error float64
}

// Distances tells how reuse distances are spread: of the first touches per window, the share with less than a point's
// Bytes touched since the touch before, but not less than the Bytes of the point before it. What is left to 1 had not been
// touched before, or is at a distance beyond the last point.
func (s *WorkingSet) Distances() (shares []float64) {
	before := 1.0
	for _, p := range s.Misses {
		shares = append(shares, max(before-p.Miss, 0))
		before = min(before, p.Miss)
	}
	return shares
}

// followMost bounds the granules that a miss-ratio curve follows, and so what it costs.
const followMost = 1 << 14

// WorkingSets returns what is known of the regions, in the order in which they were added. It takes up
// to a second of processor time where millions of touches are remembered, once a window. The callers must
// not change it.
func (w *Windows) WorkingSets() (out []WorkingSet) {
	type known struct {
		granule int64
		ever    int
		history []workingset.Window
		core    part
	}
	var parts []known
	w.mu.Lock()
	if w.known != nil {
		defer w.mu.Unlock()
		return w.known
	}
	generation := w.generation
	for _, r := range w.regions {
		out = append(out, WorkingSet{Region: r.region.ID(), Windows: slices.Clone(r.past)})
		parts = append(parts, known{r.granule, r.tracker.Ever(), slices.Clone(r.history), r.core})
	}
	w.mu.Unlock()
	for i, p := range parts {
		if len(p.history) > 0 {
			out[i].Curve = curve(p.history, p.granule, p.core)
			out[i].Misses, out[i].Sample = misses(p.history, p.granule, p.ever, p.core)
		}
	}
	w.keep(out, generation)
	return out
}

// keep remembers an answer, unless a window has ended meanwhile.
func (w *Windows) keep(sets []WorkingSet, generation int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.generation == generation {
		w.known = sets
	}
}

// curve picks 1, 2, 4 and so on windows, and all.
func curve(history []workingset.Window, granule int64, core part) (out []CurvePoint) {
	c := workingset.NewCurve(history, len(history))
	errs := make([]float64, len(c))
	by := float64(granule) * core.scale()
	if core.Share() < 1 {
		errs = workingset.CurveErrors(history, len(c), core.block, func(sum, squares float64) float64 {
			return (&spread{sum * by, squares * by * by}).error(core.SamplingStep)
		})
	}
	var covered time.Duration
	for _, win := range history {
		covered += win.End - win.Start
	}
	for n := 1; ; n *= 2 {
		n = min(n, len(c))
		out = append(out, CurvePoint{n, covered * time.Duration(n) / time.Duration(len(history)), int64(c[n-1] * by), int64(errs[n-1])})
		if n == len(c) {
			return out
		}
	}
}

// misses picks sizes by powers of two, up to one that holds all that was ever touched. A granule that was
// touched before what is remembered, and not in it, counts as new.
func misses(history []workingset.Window, granule int64, ever int, core part) (out []MissPoint, sample float64) {
	sample = min(1, followMost/float64(max(ever, 1)))
	r, err := workingset.NewReuse(sample)
	if err != nil {
		return nil, 0 // it is above 0 and at most 1
	}
	r.Shown(core.Share(), core.has, core.block)
	ever = int(float64(ever) * core.scale())
	for _, win := range history {
		for _, g := range win.Touched {
			r.Touch(g)
		}
	}
	var sizes []float64
	for n := 1; ; n *= 2 {
		sizes = append(sizes, float64(n))
		if n >= ever {
			break
		}
	}
	const most = 12
	for _, p := range r.MissRatio(sizes[max(0, len(sizes)-most):]) {
		out = append(out, MissPoint{int64(p.Size) * granule, p.Miss, p.Error})
	}
	return out, sample * core.Share()
}
