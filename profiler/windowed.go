package profiler

import (
	"fmt"
	"slices"
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
	turn    uint64        // windows begun
	armed   error         // why the present window shows only what had never been touched, nil where it shows all
	tracker workingset.Tracker
	core    part // what was observed in all windows that are remembered
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
	order []windowTouch
	seen  bitmap
}

// windowTouch is the number of a granule, with who touched it above it and whether it came from the disk in the highest bit.
type windowTouch uint64

const (
	fromDisk  windowTouch = 1 << 63
	actorBits             = 60 // of 2^60 granules are none: addresses have 57 bits
)

func (t windowTouch) granule() uint64 { return uint64(t) & (1<<actorBits - 1) }
func (t windowTouch) actor() Actor    { return Actor(t &^ fromDisk >> actorBits) }
func (t windowTouch) disk() bool      { return t&fromDisk != 0 }

func (t *touches) add(granule uint64, source Source, actor Actor) {
	if !t.seen.add(granule) {
		return
	}
	n := windowTouch(granule) | windowTouch(min(actor, ActorUnknown))<<actorBits
	if source == SourceDisk {
		n |= fromDisk
	}
	t.order = append(t.order, n)
}

// cut is what the fold knows of a region at the end of a window.
type cut struct {
	order           []windowTouch
	now             time.Duration
	granule, mapped int64
	dropped         uint64
	part            part          // what was observed of it
	paused          time.Duration // in which nothing was
	heap            bool          // it is the Go heap
}

// arm begins a window of regions. What is touched between the end of the last one and this belongs to the new one.
func (p *Profiler) arm(list []*windowed) {
	var due []*Region
	var of []*windowed
	for _, r := range list {
		r.turn++
		if !r.region.inTurn(r.turn) {
			r.armed = ErrLeftOut
			continue
		}
		due, of = append(due, r.region), append(of, r)
	}
	for i, err := range p.Rearm(due...) {
		of[i].armed = err
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
	if out.Err == nil && c.paused > 0 && c.heap {
		out.Err = fmt.Errorf("none of the heap's blocks of 2 MiB was observed for %v of the window: choose a larger share of them (WithHeapShare, FIRSTTOUCH_GOHEAP=all)", c.paused)
	} else if out.Err == nil && c.paused > 0 {
		out.Err = fmt.Errorf("nothing was observed for %v of the window, to keep the budget", c.paused)
	}
	if out.Err != nil {
		r.tracker.Gap()
		r.starts = nil
		return out
	}
	if r.tracker.Ever() == 0 && len(r.history) == 0 || c.part.limit < r.core.limit {
		r.narrow(c.part)
	} else if c.part.limit == r.core.limit && c.part.Sampled >= r.core.Sampled && c.part.Blocks >= r.core.Blocks {
		r.core = c.part // the same sample, of as many blocks as there are now
	}
	win := workingset.Window{Start: out.Start, End: out.End, Touched: make([]uint64, 0, len(c.order))}
	var touched, fresh, again, reread []uint64
	var actors [len(out.Actors)]tally
	for i := range actors {
		actors[i].part = c.part
	}
	for _, t := range c.order {
		g := t.granule()
		if c.part.has(g) {
			touched = append(touched, g)
			if c.heap {
				actors[t.actor()].add(g)
			}
		}
		if !r.core.has(g) {
			continue
		}
		win.Touched = append(win.Touched, g)
		if !r.tracker.Knows(g) {
			fresh = append(fresh, g)
			continue
		}
		if again = append(again, g); t.disk() {
			reread = append(reread, g)
		}
	}
	if _, err := r.tracker.Add(win, 0); err != nil {
		out.Err = err
		return out
	}
	r.remember(win)
	e := &out.Errors
	out.Share, out.Mapped = c.part.Share(), c.mapped
	out.Touched, e.Touched = c.part.bytes(touched)
	if c.heap { // its blocks are armed before they are counted
		out.Mapped = max(out.Mapped, out.Touched)
	}
	for i := range actors {
		out.Actors[i].Touched, out.Actors[i].Error = actors[i].bytes()
	}
	out.New, e.New = r.core.bytes(fresh)
	out.Reused, e.Reused = r.core.bytes(again)
	out.Reread, _ = r.core.bytes(reread)
	ever, err := r.lookBack(&out)
	out.Never, e.Never = max((c.mapped+c.granule-1)/c.granule*c.granule-ever, 0), err
	return out
}

// narrow restricts what looks back to what is observed still.
func (r *windowed) narrow(p part) {
	r.core, r.kept = p, 0
	r.tracker.Keep(p.has)
	for i := range r.history {
		w := &r.history[i]
		// WorkingSets may read what is there.
		w.Touched = slices.DeleteFunc(slices.Clone(w.Touched), func(g uint64) bool { return !p.has(g) })
		r.kept += len(w.Touched)
	}
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

// lookBack fills in what was touched in the last so long, and not for so long. It returns what was ever touched.
func (r *windowed) lookBack(out *RegionWindow) (ever, everError int64) {
	type wanted struct {
		tally
		after, before time.Duration // of the last touch, by the end of its window
		to, err       *int64
	}
	list := []wanted{{after: -1, before: out.End, to: &ever, err: &everError}}
	e := &out.Errors
	for _, v := range []struct {
		length  time.Duration
		to, err *int64
	}{{time.Second, &out.Touched1s, &e.Touched1s}, {10 * time.Second, &out.Touched10s, &e.Touched10s}, {time.Minute, &out.Touched60s, &e.Touched60s}} {
		*v.to = -1
		if since, ok := nearest(r.starts, out.End, v.length); ok {
			list = append(list, wanted{after: since, before: out.End, to: v.to, err: v.err})
		}
	}
	for _, v := range []struct {
		least   time.Duration
		to, err *int64
	}{{30 * time.Second, &out.Idle30s, &e.Idle30s}, {2 * time.Minute, &out.Idle2m, &e.Idle2m}, {10 * time.Minute, &out.Idle10m, &e.Idle10m}} {
		*v.to = -1
		if r.tracker.Covers(v.least) {
			list = append(list, wanted{after: -1, before: out.End - v.least, to: v.to, err: v.err})
		}
	}
	for i := range list {
		list[i].part = r.core
	}
	for g, at := range r.tracker.Each {
		for i := range list {
			if at > list[i].after && at <= list[i].before {
				list[i].add(g)
			}
		}
	}
	for i := range list {
		*list[i].to, *list[i].err = list[i].bytes()
	}
	return ever, everError
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
