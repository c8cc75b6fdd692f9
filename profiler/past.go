package profiler

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Regions come and go with files and arenas. The totals of one that was closed are kept as they are while it is among the
// latest; then they are added to those of its group, so that what is remembered is bounded by the groups, and nothing is lost but
// the places of the touches.
const (
	// groupsOfRegions bounds the groups. A region of another one that comes later belongs to OtherGroup.
	groupsOfRegions = 1024
	// closedMost is how many closed regions are listed each by itself at least, where their bitmaps take closedBytes at most; twice
	// as many are at most.
	closedMost  = 64
	closedBytes = 4 << 20
	// movedMost bounds what is remembered of where the totals of a region have gone. Who holds a fault for longer than until so
	// many other regions were closed finds it in OtherGroup.
	movedMost = 1 << 17
)

// OtherGroup is the group of regions that have none of their own, since there are 1,024 already.
const OtherGroup = "(other)"

// pastKey tells apart what is added up.
type pastKey struct {
	group string
	kind  Kind
}

// closedRegion is one that is still listed by itself, and up to where the ring may hold records of it.
type closedRegion struct {
	*RegionStats
	head uint64
	size int // of its bitmap
}

// movedRegion is a region that was added to another one.
type movedRegion struct{ id, to RegionID }

// lostRegion stands for a region of which nothing is known any more.
func lostRegion(id RegionID) *RegionStats {
	return &RegionStats{ID: id, Name: OtherGroup, Group: OtherGroup, Granule: 1, Detached: true}
}

// region returns the totals that a region's count in.
func (a *aggregate) region(id RegionID) *RegionStats {
	if r := a.byID[id]; r != nil {
		return r
	}
	if to, ok := movedTo(a.moved, id); ok {
		return a.byID[to]
	}
	return lostRegion(id)
}

func movedTo(moved []movedRegion, id RegionID) (RegionID, bool) {
	i, ok := slices.BinarySearchFunc(moved, id, func(m movedRegion, id RegionID) int { return int(m.id) - int(id) })
	if !ok {
		return 0, false
	}
	return moved[i].to, true
}

// addRegion enters a region, whose id is higher than those before it.
func (a *aggregate) addRegion(r *RegionStats) {
	a.regions = append(a.regions, r)
	a.byID[r.ID] = r
}

// dropRegion forgets a region that was entered lately, of which nothing was seen.
func (a *aggregate) dropRegion(id RegionID) {
	a.regions = slices.DeleteFunc(a.regions, func(r *RegionStats) bool { return r.ID == id })
	delete(a.byID, id)
}

// groupOf is the group that a region of the name may have.
func (a *aggregate) groupOf(name string) string {
	if !a.groupNames[name] {
		if len(a.groupNames) >= groupsOfRegions {
			return OtherGroup
		}
		a.groupNames[name] = true
	}
	return name
}

// ended says that a region is closed: nothing is added to it but what is in the ring up to head.
func (a *aggregate) ended(r *RegionStats, head uint64) {
	a.closed = append(a.closed, closedRegion{r, head, r.touched.size()})
}

// age adds up the closed regions that were closed first, once there are many. Those of which the ring may hold records, up to
// folded, wait, and so do those that are held.
func (a *aggregate) age(folded uint64, held func(RegionID) bool, now time.Duration) {
	size := 0
	for _, c := range a.closed {
		size += c.size
	}
	if len(a.closed) <= 2*closedMost && size <= closedBytes {
		return
	}
	var batch []*RegionStats
	a.closed = slices.DeleteFunc(a.closed, func(c closedRegion) bool {
		if len(a.closed)-len(batch) <= closedMost && size <= closedBytes || c.head > folded || held(c.ID) {
			return false
		}
		size -= c.size
		batch = append(batch, c.RegionStats)
		return true
	})
	a.addUp(batch, now)
}

// addUp adds regions to those of their groups that were closed before.
func (a *aggregate) addUp(batch []*RegionStats, now time.Duration) {
	var moved []movedRegion
	for _, x := range batch {
		k := pastKey{x.Group, x.Kind}
		p := a.pasts[k]
		if p == nil {
			a.pasts[k] = x
			continue
		}
		p.absorb(x, a.mono, now)
		delete(a.byID, x.ID)
		moved = append(moved, movedRegion{x.ID, p.ID})
	}
	if len(moved) == 0 {
		return
	}
	// Snapshots have what there was: it is replaced, and not changed.
	all := slices.Concat(a.moved, moved)
	slices.SortFunc(all, func(x, y movedRegion) int { return int(x.id) - int(y.id) })
	a.moved = slices.Clip(all[max(0, len(all)-movedMost):])
	slices.SortFunc(moved, func(x, y movedRegion) int { return int(x.id) - int(y.id) })
	a.regions = slices.DeleteFunc(a.regions, func(r *RegionStats) bool { _, is := movedTo(moved, r.ID); return is })
	a.moveGroups(moved)
	a.moveLog(moved)
}

// moveGroups has the totals by stack of regions that moved count where they are.
func (a *aggregate) moveGroups(moved []movedRegion) {
	a.order = slices.DeleteFunc(a.order, func(g *Group) bool {
		to, ok := movedTo(moved, g.Region)
		if !ok {
			return false
		}
		delete(a.groups, g.key())
		g.Region = to
		have := a.groups[g.key()]
		if have == nil {
			a.groups[g.key()] = g
			return false
		}
		have.plus(g)
		return true
	})
}

// moveLog has the faults in the log name the region that they count in. Snapshots keep the log that they have.
func (a *aggregate) moveLog(moved []movedRegion) {
	is := func(f Fault) bool { _, ok := movedTo(moved, f.Region); return ok }
	first := slices.IndexFunc(a.log, is)
	if first < 0 {
		return
	}
	log := make([]Fault, len(a.log), cap(a.log))
	copy(log, a.log)
	for i := first; i < len(log); i++ {
		if to, ok := movedTo(moved, log[i].Region); ok {
			log[i].Region = to
		}
	}
	a.log = log
}

func (g *Group) key() groupKey { return groupKey{g.Region, g.Stack, g.Access, g.Source, g.Actor} }

// plus adds the totals of a group to another one.
func (g *Group) plus(o *Group) {
	g.Faults += o.Faults
	g.Bytes += o.Bytes
	g.Stall += o.Stall
	g.Max = max(g.Max, o.Max)
	g.Blocked += o.Blocked
	g.Scaled.Faults += o.Scaled.Faults
	g.Scaled.Bytes += o.Scaled.Bytes
	g.Scaled.Stall += o.Scaled.Stall
}

// absorb adds another region of the group, which is closed as this one is.
func (r *RegionStats) absorb(x *RegionStats, from, to time.Duration) {
	if r.Past == 0 {
		r.estimate(from, to)
		r.Name, r.Past = r.Group, 1
		r.touched, r.sampled, r.Sampling, r.Mappings = bitmap{}, nil, nil, nil
	}
	x.estimate(from, to)
	r.plus(x)
	r.Past++
	r.Size += x.Size
	r.Stopped = max(r.Stopped, x.Stopped)
	if x.Heap != nil {
		r.Heap = x.Heap
	}
	r.Note = fmt.Sprintf("%d regions of this group that were closed, added up: where they were touched is not kept", r.Past)
}

// Largest returns the regions for a list of at most n rows: those with the longest stall, by ascending ID, and, where there are more, one of
// OtherGroup at the end with the totals of all others. n is 1 or more.
func (s *Snapshot) Largest(n int) []RegionStats {
	if len(s.Regions) <= n {
		return s.Regions
	}
	order := make([]int, len(s.Regions))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := &s.Regions[a], &s.Regions[b]
		return cmp.Or(cmp.Compare(y.Stall.Sum, x.Stall.Sum), cmp.Compare(y.Faults, x.Faults))
	})
	rest := RegionStats{Name: OtherGroup, Group: OtherGroup, Granule: 1, Past: len(order) - n + 1, Note: fmt.Sprintf("%d regions, added up", len(order)-n+1)}
	for _, i := range order[n-1:] {
		r := &s.Regions[i]
		rest.ID, rest.Kind = r.ID, r.Kind
		rest.plus(r)
		rest.Size += r.Size
		rest.Mapped += r.Mapped
		rest.Stopped = max(rest.Stopped, r.Stopped)
	}
	slices.Sort(order[:n-1])
	out := make([]RegionStats, 0, n)
	for _, i := range order[:n-1] {
		out = append(out, s.Regions[i])
	}
	return append(out, rest)
}

// plus adds the totals of a region to this one's, whose places are not known. Snapshots may have the histograms.
func (r *RegionStats) plus(x *RegionStats) {
	r.Touched += x.Touched
	r.Faults += x.Faults
	r.Messages += x.Messages
	r.CoTouch += x.CoTouch
	r.Rearms += x.Rearms
	r.Widened += x.Widened
	r.Left += x.Left
	r.Discarded += x.Discarded
	r.StallsUnknown += x.StallsUnknown
	r.Stall, r.Disk = r.Stall.plus(x.Stall), r.Disk.plus(x.Disk)
	e, o := &r.Estimate, &x.Estimate
	e.Faults, e.FaultsError = e.Faults+o.Faults, math.Hypot(e.FaultsError, o.FaultsError)
	e.Touched, e.TouchedError = e.Touched+o.Touched, math.Hypot(e.TouchedError, o.TouchedError)
	e.Stall, e.StallError = e.Stall+o.Stall, time.Duration(math.Hypot(float64(e.StallError), float64(o.StallError)))
	e.Paused = max(e.Paused, o.Paused)
}
