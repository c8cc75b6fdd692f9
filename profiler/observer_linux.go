//go:build linux && (amd64 || arm64)

package profiler

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/perfevents"
)

// observer turns what the kernel tells of page faults into faults of regions, goroutines and spans. Its lock is the last one to be
// taken, and is held for no longer than the buffers take to read.
type observer struct {
	reader *perfevents.Reader

	seq uint64 // of the next fault; the fold's

	mu         sync.Mutex // guards what follows
	regions    map[RegionID]watchedRegion
	ranges     []watchedRange // of all regions, ascending by address
	mapped     []perfevents.Mapped
	homeless   []seen // at addresses of which the next look tells whether a region has them
	queue      []seen // for the fold
	until      int64  // all that happened before is in the queue, or was taken
	taken      int64  // all that happened before was taken
	lost       uint64
	elsewhere  uint64
	overhead   time.Duration
	goroutines goroutines
	spans      map[uint64]*observedSpan
	nextSpan   uint64
}

// watchedRegion is a region as the observer knows it.
type watchedRegion struct {
	id        RegionID
	file      *fileID // or nil
	granule   int64
	anonymous bool
	since     time.Duration // what was before does not count
	ranges    []addrRange
}

type addrRange struct {
	lo, hi uintptr
	offset int64
}

type watchedRange struct {
	addrRange
	id RegionID
}

// seen is a fault of a region.
type seen struct {
	perfevents.Fault
	region RegionID
	offset int64
	source Source
	goid   uint64
	span   uint64
}

// observedSpan has the totals of a span.
type observedSpan struct {
	totals engine.SpanTotals
	ended  int64 // CLOCK_MONOTONIC, 0 before
}

const (
	// homelessMost bounds the faults that wait for a look. What is above it is counted as of other memory.
	homelessMost = 1 << 14
	// mappedMost bounds the mappings that are remembered until a look has seen them.
	mappedMost = 1 << 12
	// settles is how long a record may take to be in its buffer behind others of other processors: the fold leaves so much to the next
	// time, so that it gets faults in the order of time.
	settles = int64(time.Millisecond)
)

func newObserver(r *perfevents.Reader, goid, parent uintptr) *observer {
	return &observer{
		reader: r, regions: make(map[RegionID]watchedRegion), spans: make(map[uint64]*observedSpan),
		goroutines: goroutines{goid: goid, parent: parent, known: make(map[uintptr]*knownG), bound: make(map[uint64][]binding)},
	}
}

// watch takes over the mappings of a region, as they were at a time.
func (o *observer) watch(w watchedRegion, at time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if was, ok := o.regions[w.id]; ok {
		w.since = was.since
	}
	o.regions[w.id] = w
	o.ranges = slices.DeleteFunc(o.ranges, func(r watchedRange) bool { return r.id == w.id })
	for _, r := range w.ranges {
		o.ranges = append(o.ranges, watchedRange{r, w.id})
	}
	o.sortRanges()
	for _, m := range o.mapped { // what the list does not have yet
		if m.Time > int64(at) {
			o.maps(m)
		}
	}
}

func (o *observer) sortRanges() {
	slices.SortFunc(o.ranges, func(a, b watchedRange) int { return cmp.Compare(a.lo, b.lo) })
}

// unwatch ends the observation of a region.
func (o *observer) unwatch(id RegionID) {
	o.empty() // what it has touched by now counts
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.regions, id)
	o.ranges = slices.DeleteFunc(o.ranges, func(r watchedRange) bool { return r.id == id })
}

// maps takes over that something was mapped: what was there before is not there any more. The caller holds mu.
func (o *observer) maps(m perfevents.Mapped) {
	var rest []watchedRange
	changed := false
	for _, r := range o.ranges {
		if r.hi <= m.Lo || m.Hi <= r.lo || o.regions[r.id].anonymous { // whose memory lies where it was named
			rest = append(rest, r)
			continue
		}
		changed = true
		if r.lo < m.Lo {
			rest = append(rest, watchedRange{addrRange{r.lo, m.Lo, r.offset}, r.id})
		}
		if m.Hi < r.hi {
			rest = append(rest, watchedRange{addrRange{m.Hi, r.hi, r.offset + int64(m.Hi-r.lo)}, r.id})
		}
	}
	at := procMap{lo: m.Lo, hi: m.Hi, prot: m.Prot, shared: m.Shared, offset: m.Offset, dev: m.Dev, inode: m.Inode, path: m.Path}
	for id, w := range o.regions {
		if w.file != nil && w.file.is(&at) {
			rest = append(rest, watchedRange{addrRange{m.Lo, m.Hi, m.Offset}, id})
			changed = true
		}
	}
	if changed {
		o.ranges = rest
		o.sortRanges()
	}
}

// empty reads the kernel's buffers.
func (o *observer) empty() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.emptyLocked()
}

func (o *observer) emptyLocked() {
	runtime.LockOSThread() // whose processor time it is
	defer runtime.UnlockOSThread()
	start := threadTime()
	b := o.reader.Read()
	o.lost += b.Lost
	o.goroutines.read(b.Faults, b.Until)
	for i := range b.Faults {
		f := &b.Faults[i]
		for len(b.Mapped) > 0 && b.Mapped[0].Time <= f.End {
			o.remember(b.Mapped[0])
			b.Mapped = b.Mapped[1:]
		}
		s := seen{Fault: *f}
		s.goid, s.span = o.worksFor(f)
		if !o.place(&s) {
			if len(o.homeless) < homelessMost {
				o.homeless = append(o.homeless, s)
			} else {
				o.elsewhere++
			}
		}
	}
	for _, m := range b.Mapped {
		o.remember(m)
	}
	o.until = b.Until
	o.goroutines.forget(b.Until - remembered)
	o.overhead += threadTime() - start
}

func (o *observer) remember(m perfevents.Mapped) {
	o.maps(m)
	if len(o.mapped) < mappedMost {
		o.mapped = append(o.mapped, m)
	}
}

// place finds the region of a fault, and queues it. The caller holds mu.
func (o *observer) place(s *seen) bool {
	i, ok := slices.BinarySearchFunc(o.ranges, s.Address, func(r watchedRange, at uintptr) int {
		switch {
		case r.hi <= at:
			return -1
		case r.lo > at:
			return 1
		}
		return 0
	})
	if !ok {
		return false
	}
	r := o.ranges[i]
	w := o.regions[r.id]
	if s.End < int64(w.since) {
		return false
	}
	s.region, s.offset = r.id, r.offset+int64(s.Address-r.lo)
	switch {
	case s.Kind == perfevents.Major:
		s.source = SourceDisk
	case s.Kind == perfevents.Interrupted || s.Known == perfevents.AtMost:
		s.source = SourceUnknown // it may have waited for storage before the signal
	case w.anonymous:
		s.source = SourceZero
	default:
		s.source = SourcePageCache
	}
	if t := o.spans[s.span]; t != nil {
		t.add(s, w.granule)
	}
	o.queue = append(o.queue, *s)
	return true
}

// looked says that a look at the mappings is over: a fault before it that has no region by now is of other memory.
func (o *observer) looked(at time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var left []seen
	for i := range o.homeless {
		s := &o.homeless[i]
		switch {
		case o.place(s):
		case s.End > int64(at):
			left = append(left, *s)
		default:
			o.elsewhere++
		}
	}
	o.homeless = left
	o.mapped = slices.DeleteFunc(o.mapped, func(m perfevents.Mapped) bool { return m.Time <= int64(at) })
}

// take returns what is to be folded, by time.
func (o *observer) take(last bool) (out []seen) {
	o.mu.Lock()
	defer o.mu.Unlock()
	end := o.until - settles
	if last {
		end = 1<<63 - 1
	}
	slices.SortStableFunc(o.queue, func(a, b seen) int { return cmp.Compare(a.End, b.End) })
	n, _ := slices.BinarySearchFunc(o.queue, end, func(s seen, end int64) int {
		if s.End <= end {
			return -1
		}
		return 1
	})
	out = o.queue[:n:n]
	o.queue = slices.Clone(o.queue[n:])
	o.taken = max(o.taken, min(end, o.until))
	return out
}

// waitsLong is after how long a thread counts as one that waits, as with an engine.
const waitsLong = int64(250 * time.Millisecond)

type observerCounts struct {
	lost, elsewhere uint64
	waiting         int
	overhead        time.Duration
	unreadable      error
}

func (o *observer) counts() observerCounts {
	o.mu.Lock()
	defer o.mu.Unlock()
	threads, interrupted := o.reader.Waiting(waitsLong, o.has)
	return observerCounts{lost: o.lost, elsewhere: o.elsewhere, waiting: threads + interrupted, overhead: o.overhead, unreadable: o.goroutines.refused}
}

// stalled counts the threads that are in a fault of a region now.
func (o *observer) stalled() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.emptyLocked()
	n, _ := o.reader.Waiting(0, o.has)
	return n
}

// has reports whether a region has an address. The caller holds mu.
func (o *observer) has(at uintptr) bool {
	return slices.ContainsFunc(o.ranges, func(r watchedRange) bool { return r.lo <= at && at < r.hi })
}

// close ends the events.
func (o *observer) close() error { return o.reader.Close() }
