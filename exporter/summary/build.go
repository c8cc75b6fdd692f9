package summary

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/profiler"
)

// Limits says how much a Summary lists.
type Limits struct {
	Callers, Requests int
	Regions           int  // the last one adds up all that are more; 0 lists all
	Times             int  // parts of the time; 0 for none
	Mappings          bool // those of each region
	Addresses         bool // of the mappings, in the process
}

// DefaultLimits is what fits on a screen.
func DefaultLimits() Limits { return Limits{Callers: 10, Requests: 10, Times: 10} }

// Of makes the Summary of a recording.
func Of(r *recording.Recording, n Limits) Summary {
	sum := Build(r.Snapshot, RequestsOf(r), n)
	sum.WorkingSets, sum.Memory = WorkingSets(r.Snapshot, r.WorkingSets), figures(r)
	return sum
}

// Build makes a Summary from a snapshot and the requests that were seen in its time.
func Build(s *profiler.Snapshot, requests RequestList, n Limits) Summary {
	list := s.Regions
	if n.Regions > 0 {
		list = s.Largest(n.Regions)
	}
	all := Callers(s)
	sum := Summary{
		Findings: []Finding{}, Start: s.Start, End: s.End,
		Regions:  make([]Region, 0, len(list)),
		Callers:  all.Callers[:min(n.Callers, len(all.Callers))],
		Stacked:  all.Stacked,
		Requests: SumRequests(requests, n.Requests),
		Engine:   engine(s.Stats), WorkingSets: []WorkingSet{}, Memory: []Figure{}, Times: Windows(s, n.Times),
	}
	sum.More = len(all.Callers) - len(sum.Callers)
	sum.Requests.Unattributed = s.Stats.Unattributed
	sum.Requests.Why = whyUnattributed(s, sum.Requests)
	groups := groupsOf(s)
	for i := range list {
		sum.Regions = append(sum.Regions, region(s, &list[i], groups[list[i].ID], n))
	}
	labelled(sum.Regions)
	return sum
}

// whyUnattributed says why faults count for no span, where that are more than a tenth.
func whyUnattributed(s *profiler.Snapshot, q Requests) string {
	st := s.Stats
	switch {
	case st.Unattributed*10 <= st.Records:
		return ""
	case st.Unattributed == st.Records && q.Count == 0:
		return "no span of this service passes Agent.SpanProcessor"
	case st.SpansDropped > 0:
		return fmt.Sprintf("%s spans found no free place, besides what was touched outside of spans", Count(st.SpansDropped))
	case st.Unattributed == st.Records:
		return "the goroutines that touched work for no span: spans are bound to the goroutine that starts them"
	}
	return "the rest was touched outside of spans, or by goroutines that no span was bound to"
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
		Faults: s.Faults, Records: s.Records, Dropped: s.Dropped, Messages: s.Messages, LogCut: s.LogCut, Elsewhere: s.Elsewhere,
		Stacks: s.Stacks, StacksMissed: s.StacksMissed, StallsUnknown: s.StallsUnknown, Waiting: s.Waiting, StacksCut: s.StacksCut,
		Unattributed: s.Unattributed, SpansDropped: s.SpansDropped, ResolveErrors: s.ResolveErrs, Overhead: s.Overhead, Stops: s.Stops, Stopped: s.Stopped,
		StackSampling: s.StackSampling, Delivery: s.Delivery, Observed: s.Observed(), Placement: s.Placement, LastError: s.LastError, UserModeOnly: s.UserModeOnly,
		Blocked: Blocked{
			Procs: s.Blocked.Procs, Sum: s.Blocked.Sum, Any: s.Blocked.Any, All: s.Blocked.All,
			GCLeast: s.Blocked.GCLeast, GCMost: s.Blocked.GCMost, GCStops: s.Blocked.GCStops,
		},
		Budget: s.Budget.String(), Off: s.Off, Notes: append([]string{}, s.Notes...),
	}
}

// heap is what there is of the Go heap besides, or nil.
func heap(r *profiler.RegionStats, groups []profiler.Group) *Heap {
	if r.Heap == nil {
		return nil
	}
	h := &Heap{
		Share: r.Heap.Share, Blocks: r.Heap.Blocks, Observed: r.Heap.Observed, Size: r.Heap.Mapped(),
		Objects: r.Heap.Objects, Unused: r.Heap.Unused, Stacks: r.Heap.Stacks, Free: r.Heap.Free, Released: r.Heap.Released, Unseen: r.Heap.Unseen,
		Touched: int64(r.Estimate.Touched), Actors: []Actor{},
	}
	if r.Heap.ErrorKnown() {
		e := int64(r.Estimate.TouchedError)
		h.Stderr = &e
	}
	for _, a := range (&profiler.Snapshot{Groups: groups}).Actors(r.ID) {
		h.Actors = append(h.Actors, Actor{a.Actor.String(), a.Faults, a.Bytes, a.Stall})
	}
	return h
}

func region(s *profiler.Snapshot, r *profiler.RegionStats, groups []profiler.Group, n Limits) Region {
	out := Region{
		ID: uint32(r.ID), Name: r.Name, Kind: KindName(r.Kind), Granule: r.Granule, Size: r.Size, Mapped: r.Mapped, Touched: r.Touched, Slices: slicesOf(r),
		Faults: r.Faults, Messages: r.Messages, CoTouches: r.CoTouch,
		Stall:   Stall{Sum: r.Stall.Sum, Max: r.Stall.Max, Quantiles: bucketsOf(r.Stall).quantiles(r.Stall.Max)},
		Sources: sources(r, groups), Unknown: r.StallsUnknown, Rearms: r.Rearms, Widened: r.Widened, Left: r.Left, Discarded: r.Discarded,
		Detached: r.Detached, Past: r.Past, Note: r.Note, Heap: heap(r, groups), Observed: r.Share(), Estimate: Estimate(r.Estimate), Unseen: r.Unseen(),
	}
	for _, g := range groups {
		out.Blocked += g.Blocked
	}
	if len(r.Sampling) > 0 {
		out.Sampling = s.SamplingNote(r.ID)
	}
	if n.Mappings {
		for _, m := range r.Mappings {
			d := Mapping{Offset: m.Offset, Length: int64(m.End - m.Start), Since: m.Since - s.StartMono, Latency: m.Latency}
			if n.Addresses {
				d.Address = Address(m.Start)
			}
			out.Mappings = append(out.Mappings, d)
		}
	}
	return out
}

// Address writes an address of the profiled process.
func Address(a uintptr) string { return fmt.Sprintf("%#x", a) }

// KindName is the lower-case word for a kind of memory.
func KindName(k profiler.Kind) string {
	switch k {
	case profiler.KindArena:
		return "arena"
	case profiler.KindMappedFile:
		return "mapped_file"
	case profiler.KindAttached:
		return "attached_file"
	case profiler.KindMemory:
		return "memory"
	case profiler.KindGoHeap:
		return "go_heap"
	}
	return "unknown"
}

// regionSlices is the number of equal parts of a region whose touched bytes are shown.
const regionSlices = 64

// slicesOf spreads the touched granules over equal slices of the region; a granule that
// lies on a border counts in each slice for the part of it that lies there.
func slicesOf(r *profiler.RegionStats) []int64 {
	slices := make([]int64, regionSlices)
	if r.Size <= 0 {
		return slices
	}
	// Rounded up, so that the last slice ends at or behind the end of the region.
	width := (r.Size + regionSlices - 1) / regionSlices
	for g := range r.Runs {
		off := int64(g.First) * int64(r.Granule)
		end := min(int64(g.First+g.Count)*int64(r.Granule), r.Size)
		for off < end {
			i := off / width
			stop := min(end, (i+1)*width)
			slices[i] += stop - off
			off = stop
		}
	}
	return slices
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
