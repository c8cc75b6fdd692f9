package report

import (
	"cmp"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/profiler"
)

// Comparison is what two recordings differ in.
type Comparison struct {
	A        Side            `json:"a"`
	B        Side            `json:"b"`
	Regions  []RegionChange  `json:"regions"`
	By       Order           `json:"callers_by"` // touched or stall
	Callers  []CallerChange  `json:"callers"`    // those that grew, by what they were ordered by, and then those that shrank
	Requests RequestsChanges `json:"requests"`
	Verdicts []Verdict       `json:"verdicts,omitempty"` // of the limits that were given
}

// Side is one of the two.
type Side struct {
	Source  string        `json:"source"`
	Program string        `json:"program"`
	Start   time.Time     `json:"start"`
	Length  time.Duration `json:"length_ns"`
	Faults  uint64        `json:"faults"`
	Touched int64         `json:"touched_bytes"`
	Stall   time.Duration `json:"stall_ns"`
	// Estimate is what there was of all regions; the same as Faults, Touched and Stall where all of them were observed. Its errors are
	// as if the regions had nothing to do with each other.
	Estimate      summary.Estimate `json:"estimate"`
	Sampled       bool             `json:"sampled"`        // a part of a region was left out
	Dropped       uint64           `json:"dropped"`        // records that were lost
	StallsUnknown uint64           `json:"stalls_unknown"` // first touches that are in no stall
}

// RegionChange compares the working sets of a region of the same name. A region that one side does not have is
// empty there.
type RegionChange struct {
	Name  string `json:"name"`
	Label string `json:"label"` // the shortest end of its path that no other region has
	InA   bool   `json:"in_a"`
	InB   bool   `json:"in_b"`
	OnlyA int64  `json:"only_a_bytes"` // touched in A and not in B
	Both  int64  `json:"both_bytes"`
	OnlyB int64  `json:"only_b_bytes"`
}

// Overlap is the common part of what either touched.
func (r RegionChange) Overlap() float64 { return summary.Ratio(r.Both, r.OnlyA+r.Both+r.OnlyB) }

// CallerChange is a place in the code, whatever line it has moved to, with what summary.Caller.Estimate has.
type CallerChange struct {
	Function string        `json:"function"` // empty: no stack was taken
	From     string        `json:"from,omitempty"`
	FaultsA  uint64        `json:"faults_a"`
	FaultsB  uint64        `json:"faults_b"`
	BytesA   uint64        `json:"bytes_a"`
	BytesB   uint64        `json:"bytes_b"`
	StallA   time.Duration `json:"stall_a_ns"`
	StallB   time.Duration `json:"stall_b_ns"`
}

// grown is what B has more than A of what callers are ordered by.
func (c CallerChange) grown(o Order) int64 {
	if o == ByStall {
		return int64(c.StallB - c.StallA)
	}
	return int64(c.BytesB) - int64(c.BytesA)
}

// RequestsChanges compares the requests of both sides.
type RequestsChanges struct {
	A summary.Requests `json:"a"`
	B summary.Requests `json:"b"`
}

// Order says what callers are ordered by.
type Order string

// The orders. ByChange is the one of the others in which the two recordings differ more.
const (
	ByTouched Order = "touched"
	ByStall   Order = "stall"
	ByChange  Order = "change"
)

// choose settles ByChange: the sum that is further from that of the other recording, by their ratio, is what one wants to see
// explained.
func (o Order) choose(a, b Side) Order {
	if o != ByChange {
		return o
	}
	if apart(float64(a.Stall), float64(b.Stall)) > apart(float64(a.Touched), float64(b.Touched)) {
		return ByStall
	}
	return ByTouched
}

// apart is by how much two sums differ, of their larger one: 0 to 1.
func apart(a, b float64) float64 {
	if a == b {
		return 0
	}
	return math.Abs(a-b) / max(a, b)
}

// Compare compares two recordings, and lists at most n callers.
func Compare(a, b *recording.Recording, nameA, nameB string, by Order, n int) Comparison {
	sideA, sideB := sideOf(a, nameA), sideOf(b, nameB)
	by = by.choose(sideA, sideB)
	return Comparison{
		A: sideA, B: sideB, By: by,
		Regions:  regionChanges(a.Snapshot, b.Snapshot),
		Callers:  callerChanges(a.Snapshot, b.Snapshot, by, n),
		Requests: RequestsChanges{summary.SumRequests(summary.RequestsOf(a), 0), summary.SumRequests(summary.RequestsOf(b), 0)},
	}
}

// whole is all of a side as if it were one region, for its words.
func (s Side) whole() *summary.Region {
	r := &summary.Region{Faults: s.Faults, Touched: s.Touched, Stall: summary.Stall{Sum: s.Stall}, Estimate: s.Estimate}
	if s.Sampled {
		r.Sampling = "some of it"
	}
	return r
}

func sideOf(r *recording.Recording, name string) Side {
	s := r.Snapshot
	side := Side{Source: name, Program: r.Origin.Program, Start: s.Start, Length: s.EndMono - s.StartMono, Faults: s.Stats.Faults}
	side.Dropped, side.StallsUnknown = s.Stats.Dropped, s.Stats.StallsUnknown
	e := &side.Estimate
	for i := range s.Regions {
		r := &s.Regions[i]
		side.Touched += r.Touched
		side.Stall += r.Stall.Sum
		e.Faults, e.FaultsError = e.Faults+r.Estimate.Faults, math.Hypot(e.FaultsError, r.Estimate.FaultsError)
		e.Touched, e.TouchedError = e.Touched+r.Estimate.Touched, math.Hypot(e.TouchedError, r.Estimate.TouchedError)
		e.Stall += r.Estimate.Stall
		e.StallError = time.Duration(math.Hypot(float64(e.StallError), float64(r.Estimate.StallError)))
		e.Paused = max(e.Paused, r.Estimate.Paused)
		side.Sampled = side.Sampled || len(r.Sampling) > 0
	}
	return side
}

// regionChanges matches regions by name, and then files by the last element of their path where that is
// unambiguous: the same database may lie elsewhere on another machine.
func regionChanges(a, b *profiler.Snapshot) []RegionChange {
	list := []RegionChange{}
	taken := make(map[profiler.RegionID]bool)
	inA, inB := namesOf(a), namesOf(b)
	for i := range a.Regions {
		ra := &a.Regions[i]
		rb := partner(ra, inA, inB)
		change := RegionChange{Name: ra.Name, InA: true, InB: rb != nil}
		ofA := touchedSpans(ra)
		change.OnlyA = sizeOf(ofA)
		if rb != nil {
			taken[rb.ID] = true
			ofB := touchedSpans(rb)
			change.Both = overlap(ofA, ofB)
			change.OnlyA -= change.Both
			change.OnlyB = sizeOf(ofB) - change.Both
		}
		list = append(list, change)
	}
	for i := range b.Regions {
		if rb := &b.Regions[i]; !taken[rb.ID] {
			list = append(list, RegionChange{Name: rb.Name, InB: true, OnlyB: sizeOf(touchedSpans(rb))})
		}
	}
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	for i, label := range summary.Labels(names) {
		list[i].Label = label
	}
	return list
}

// names finds the regions of one side: by their name, the first of several, and files by the last element of
// their path.
type names struct {
	whole map[string]*profiler.RegionStats
	last  map[string][]*profiler.RegionStats
}

func namesOf(s *profiler.Snapshot) names {
	n := names{make(map[string]*profiler.RegionStats), make(map[string][]*profiler.RegionStats)}
	for i := range s.Regions {
		r := &s.Regions[i]
		if n.whole[r.Name] == nil {
			n.whole[r.Name] = r
		}
		if r.Kind != profiler.KindArena {
			n.last[filepath.Base(r.Name)] = append(n.last[filepath.Base(r.Name)], r)
		}
	}
	return n
}

func partner(ra *profiler.RegionStats, a, b names) *profiler.RegionStats {
	if rb := b.whole[ra.Name]; rb != nil {
		return rb
	}
	base := filepath.Base(ra.Name)
	if ra.Kind == profiler.KindArena || len(a.last[base]) != 1 || len(b.last[base]) != 1 {
		return nil
	}
	rb := b.last[base][0]
	if a.whole[rb.Name] != nil {
		return nil
	}
	return rb
}

// whole is a count that is estimated.
func whole(n float64) uint64 { return uint64(max(n, 0) + 0.5) }

func callerChanges(a, b *profiler.Snapshot, by Order, n int) []CallerChange {
	type place struct{ function, from string }
	total := make(map[place]*CallerChange)
	at := func(c summary.Caller) *CallerChange {
		k := place{c.Function, c.From}
		if total[k] == nil {
			total[k] = &CallerChange{Function: c.Function, From: c.From}
		}
		return total[k]
	}
	for _, c := range summary.Callers(a).Callers {
		t := at(c)
		t.FaultsA, t.BytesA, t.StallA = t.FaultsA+whole(c.Estimate.Faults), t.BytesA+whole(c.Estimate.Bytes), t.StallA+c.Estimate.Stall
	}
	for _, c := range summary.Callers(b).Callers {
		t := at(c)
		t.FaultsB, t.BytesB, t.StallB = t.FaultsB+whole(c.Estimate.Faults), t.BytesB+whole(c.Estimate.Bytes), t.StallB+c.Estimate.Stall
	}
	list := make([]CallerChange, 0, len(total))
	for _, c := range total {
		if c.FaultsA+c.FaultsB == 0 {
			continue // what had no stack was given to others
		}
		list = append(list, *c)
	}
	slices.SortFunc(list, func(x, y CallerChange) int {
		return cmp.Or(cmp.Compare(y.grown(by), x.grown(by)), cmp.Compare(x.Function, y.Function), cmp.Compare(x.From, y.From))
	})
	return list[:min(n, len(list))]
}
