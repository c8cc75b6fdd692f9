package profiler

import (
	"maps"
	"slices"
	"time"
)

// aggregate is everything that was seen. It is fed by the fold in claim order and copied by
// snapshots; its owner serialises both.
type aggregate struct {
	start     time.Time
	mono      time.Duration
	regions   []*RegionStats // by ascending ID: those that are open, and those closed that are listed
	byID      map[RegionID]*RegionStats
	groups    map[groupKey]*Group
	order     []*Group // as first seen, so that equal work gives equal output
	log       []Fault
	logLimit  int
	threads   map[int32]*ThreadStats
	stacks    stackTable
	spans     map[SpanRef]*SpanStats
	spanOrder []SpanRef
	stats     Stats
	events    []Event
	blocked   []BlockedSpan
	blockedAt time.Duration // up to where it is known for how long Ps were held

	// See past.go.
	groupNames map[string]bool
	closed     []closedRegion // in the order in which they were
	pasts      map[pastKey]*RegionStats
	moved      []movedRegion // by ascending id; replaced, never changed

	// What a process goes on making is bounded: groups by stack, beyond which faults count as those whose stack
	// was cut, and threads, beyond which they are thread 0.
	groupsMost, threadsMost int
	crowded                 bool // there were more threads
}

// The bounds of a profiler's aggregate; see README for what all of its memory is.
const (
	groupsMost  = 1 << 14
	threadsMost = 1 << 12
)

type groupKey struct {
	region RegionID
	stack  StackID
	access Access
	source Source
	actor  Actor
}

func newAggregate(logLimit int) *aggregate {
	return &aggregate{
		logLimit: logLimit, groupsMost: groupsMost, threadsMost: threadsMost,
		groups:  make(map[groupKey]*Group),
		threads: make(map[int32]*ThreadStats),
		spans:   make(map[SpanRef]*SpanStats),
		byID:    make(map[RegionID]*RegionStats), groupNames: make(map[string]bool), pasts: make(map[pastKey]*RegionStats),
	}
}

// observe weighs a fault and counts it, with the share of its thread in what all Ps were held for. It returns what was counted.
func (a *aggregate) observe(f Fault, blocked time.Duration) Fault {
	f.Weight = a.region(f.Region).weight(&f)
	return a.add(f, blocked)
}

// add counts one fault.
func (a *aggregate) add(f Fault, blocked time.Duration) Fault {
	r := a.region(f.Region)
	granule := uint64(f.Offset) / uint64(r.Granule)
	bytes := uint64(r.extent(granule))
	fresh := uint64(0)
	if r.touched.add(granule) {
		fresh = bytes
		r.Touched += int64(bytes)
	}
	if r.sampled != nil {
		r.sampled.add(&f, fresh)
	}
	r.Faults++
	if f.Wait == WaitUnknown {
		r.StallsUnknown++
		a.stats.StallsUnknown++
	} else {
		r.Stall.add(f.Stall)
		if f.Source == SourceDisk {
			r.Disk.add(f.Stall)
		}
	}
	k := groupKey{f.Region, f.Stack, f.Access, f.Source, f.Actor}
	g := a.groups[k]
	if g == nil && f.Stack != 0 && len(a.groups) >= a.groupsMost {
		// As if the table of stacks were full.
		f.Stack, k.stack = 0, 0
		a.stats.StacksCut++
		g = a.groups[k]
	}
	if g == nil {
		g = &Group{Region: f.Region, Stack: f.Stack, Access: f.Access, Source: f.Source, Actor: f.Actor}
		a.groups[k] = g
		a.order = append(a.order, g)
	}
	g.Faults++
	g.Bytes += bytes
	g.Stall += f.Stall
	g.Max = max(g.Max, f.Stall)
	g.Blocked += blocked
	g.Scaled.add(f.Weight, bytes, f.Stall)

	thread := f.Thread
	if a.threads[thread] == nil && len(a.threads) >= a.threadsMost {
		thread, a.crowded = 0, true
	}
	t := a.threads[thread]
	if t == nil {
		t = &ThreadStats{Thread: thread}
		a.threads[thread] = t
	}
	t.Faults++
	t.Stall += f.Stall

	a.stats.Records++
	if f.Stack != 0 {
		a.stats.Stacks++
	}
	if f.Span == 0 {
		a.stats.Unattributed++
	} else {
		a.addSpan(f, bytes)
	}
	if len(a.log) < a.logLimit {
		if len(a.log) == cap(a.log) {
			a.growLog()
		}
		a.log = append(a.log, f)
	} else {
		a.stats.LogCut++
	}
	return f
}

// logFirst is how many faults the log has room for at first, about 100 KiB.
const logFirst = 1 << 10

// growLog doubles the room of the log: from the first fault to the default limit it allocates nine
// times. Snapshots keep the old one, whose contents never change. Go gives large blocks without
// pointers as the kernel does, zero and not resident, so what is not used yet costs addresses only.
func (a *aggregate) growLog() {
	grown := make([]Fault, len(a.log), min(max(2*len(a.log), logFirst), a.logLimit))
	copy(grown, a.log)
	a.log = grown
}

// extent is the size of a granule, of which the last of a region may be cut short.
func (r *RegionStats) extent(granule uint64) int64 {
	if left := r.Size - int64(granule)*int64(r.Granule); left > 0 && left < int64(r.Granule) {
		return left
	}
	return int64(r.Granule)
}

// maxSpans bounds how many spans with faults are remembered; older ones are forgotten first.
const maxSpans = 1 << 13

func (a *aggregate) addSpan(f Fault, bytes uint64) {
	s := a.spans[f.Span]
	if s == nil {
		s = &SpanStats{}
		a.keepSpan(f.Span, s)
	}
	s.Faults++
	s.Stall += f.Stall
	s.Max = max(s.Max, f.Stall)
	s.Bytes += bytes
	if len(s.Regions) < 8 && !slices.Contains(s.Regions, f.Region) {
		s.Regions = append(s.Regions, f.Region)
	}
}

func (a *aggregate) keepSpan(ref SpanRef, s *SpanStats) {
	if len(a.spanOrder) >= maxSpans {
		delete(a.spans, a.spanOrder[0])
		a.spanOrder = a.spanOrder[1:]
	}
	a.spans[ref] = s
	a.spanOrder = append(a.spanOrder, ref)
}

// snapshot copies what was seen. The log and the stacks only grow, so their prefixes are shared.
func (a *aggregate) snapshot(end time.Time, mono time.Duration) *Snapshot {
	s := &Snapshot{
		Start: a.start, End: end, StartMono: a.mono, EndMono: mono,
		Faults:  a.log[:len(a.log):len(a.log)],
		Stats:   a.stats,
		stacks:  a.stacks.freeze(),
		spans:   newSpanTable(a.spans),
		moved:   a.moved,
		Blocked: a.blocked[:len(a.blocked):len(a.blocked)],
	}
	s.Stats.Notes, s.Events = slices.Clone(a.stats.Notes), slices.Clone(a.events)
	for _, r := range a.regions {
		c := *r
		if r.Past == 0 { // else it has no places, and what it has is replaced and not changed
			c.touched = r.touched.clone()
			c.Stall, c.Disk = r.Stall.clone(), r.Disk.clone()
			c.Mappings, c.Sampling = slices.Clone(r.Mappings), slices.Clone(r.Sampling)
			c.estimate(a.mono, mono)
			c.sampled = r.sampled.freeze()
		}
		s.Regions = append(s.Regions, c)
	}
	for _, g := range a.order {
		s.Groups = append(s.Groups, *g)
	}
	for _, id := range slices.Sorted(maps.Keys(a.threads)) {
		s.Threads = append(s.Threads, *a.threads[id])
	}
	return s
}
