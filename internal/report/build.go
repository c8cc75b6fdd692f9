package report

import (
	"cmp"
	"slices"

	"github.com/firsttouch/firsttouch/profiler"
)

// Limits says how much a Summary lists.
type Limits struct{ Callers, Requests int }

// DefaultLimits is what fits on a screen.
func DefaultLimits() Limits { return Limits{Callers: 10, Requests: 10} }

// Build makes a Summary from a snapshot and the requests that were seen in its time.
func Build(s *profiler.Snapshot, requests []Request, n Limits) Summary {
	sum := Summary{
		Start: s.Start, End: s.End,
		Regions:  make([]Region, 0, len(s.Regions)),
		Callers:  callers(s, n.Callers),
		Requests: sumRequests(requests, n.Requests),
		Engine:   engine(s.Stats),
	}
	sum.Requests.Unattributed = s.Stats.Unattributed
	groups := groupsOf(s)
	for i := range s.Regions {
		sum.Regions = append(sum.Regions, region(s, &s.Regions[i], groups[s.Regions[i].ID]))
	}
	return sum
}

// groupsOf divides the groups by region.
func groupsOf(s *profiler.Snapshot) map[profiler.RegionID][]profiler.Group {
	of := make(map[profiler.RegionID][]profiler.Group, len(s.Regions))
	for i := range s.Groups {
		g := s.Groups[i]
		of[g.Region] = append(of[g.Region], g)
	}
	return of
}

func engine(s profiler.Stats) Engine {
	return Engine{
		Faults: s.Faults, Records: s.Records, Dropped: s.Dropped, Messages: s.Messages, Elsewhere: s.Elsewhere,
		Stacks: s.Stacks, StacksMissed: s.StacksMissed, StallsUnknown: s.StallsUnknown, Waiting: s.Waiting, StacksCut: s.StacksCut,
		SpansDropped: s.SpansDropped, ResolveErrors: s.ResolveErrs, Overhead: s.Overhead, Stops: s.Stops, Stopped: s.Stopped,
		StackSampling: s.StackSampling, Delivery: s.Delivery, Placement: s.Placement, UserModeOnly: s.UserModeOnly,
		Budget: s.Budget.String(), Off: s.Off, Notes: append([]string{}, s.Notes...),
	}
}

func sumRequests(list []Request, n int) Requests {
	sum := Requests{Count: len(list), Slowest: []Request{}}
	for _, r := range list {
		if r.Faults > 0 {
			sum.WithFaults++
			sum.Attributed += uint64(r.Faults)
			sum.Duration += r.Duration
			sum.Stall += r.Stall
		}
	}
	slowest := slices.Clone(list)
	slices.SortFunc(slowest, func(a, b Request) int {
		return cmp.Or(cmp.Compare(b.Duration, a.Duration), cmp.Compare(a.SpanID, b.SpanID))
	})
	sum.Slowest = append(sum.Slowest, slowest[:min(n, len(slowest))]...)
	return sum
}

// heap is what there is of the Go heap besides, or nil.
func heap(r *profiler.RegionStats, groups []profiler.Group) *Heap {
	if r.Heap == nil {
		return nil
	}
	h := &Heap{
		Share: r.Heap.Share, Blocks: r.Heap.Blocks, Observed: r.Heap.Observed,
		Size: r.Heap.Mapped(), InUse: r.Heap.Objects + r.Heap.Stacks, Released: r.Heap.Released,
		Actors: []Actor{},
	}
	h.Touched = int64(r.Estimate.Touched)
	if r.Heap.ErrorKnown() {
		e := int64(r.Estimate.TouchedError)
		h.Stderr = &e
	}
	for _, a := range (&profiler.Snapshot{Groups: groups}).Actors(r.ID) {
		h.Actors = append(h.Actors, Actor{a.Actor.String(), a.Faults, a.Bytes, a.Stall})
	}
	return h
}

func region(s *profiler.Snapshot, r *profiler.RegionStats, groups []profiler.Group) Region {
	return Region{
		Name: r.Name, Granule: r.Granule, Size: r.Size, Mapped: r.Mapped, Touched: r.Touched,
		Faults: r.Faults, Messages: r.Messages, CoTouches: r.CoTouch,
		Stall:   Stall{Sum: r.Stall.Sum, Max: r.Stall.Max, Quantiles: bucketsOf(r.Stall).quantiles(r.Stall.Max)},
		Sources: sources(r, groups), Widened: r.Widened, Left: r.Left, Discarded: r.Discarded, Note: r.Note, Heap: heap(r, groups),
		Observed: r.Share(), Sampling: s.SamplingNote(r.ID), Estimate: Estimate(r.Estimate),
	}
}

// sources adds up the groups of a region. Counts, sums and maxima are exact; the profiler keeps
// quantiles for the disk and for everything, which gives those of a single other source as well.
func sources(r *profiler.RegionStats, groups []profiler.Group) []Source {
	total := make(map[profiler.Source]*Source)
	for _, g := range groups {
		t := total[g.Source]
		if t == nil {
			t = &Source{Name: g.Source.String()}
			total[g.Source] = t
		}
		t.Faults += g.Faults
		t.Stall.Sum += g.Stall
		t.Stall.Max = max(t.Stall.Max, g.Max)
	}
	disk := total[profiler.SourceDisk]
	list := []Source{}
	for source, t := range total {
		switch {
		case source == profiler.SourceDisk:
			t.Stall.Quantiles = bucketsOf(r.Disk).quantiles(t.Stall.Max)
		case len(total) == 1 || len(total) == 2 && disk != nil:
			t.Stall.Quantiles = bucketsOf(r.Stall).minus(bucketsOf(r.Disk)).quantiles(t.Stall.Max)
		}
		list = append(list, *t)
	}
	slices.SortFunc(list, func(a, b Source) int {
		return cmp.Or(cmp.Compare(b.Stall.Sum, a.Stall.Sum), cmp.Compare(a.Name, b.Name))
	})
	return list
}
