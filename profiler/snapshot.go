package profiler

import (
	"runtime"
	"sort"
	"time"
)

// Snapshot is what a Profiler had seen at one moment. It is immutable and safe for concurrent use.
type Snapshot struct {
	// Start and End are the wall-clock bounds of what is counted; StartMono and EndMono the
	// same moments on CLOCK_MONOTONIC, the clock of Fault.Time.
	Start, End         time.Time
	StartMono, EndMono time.Duration

	// Regions holds the regions that are open, and those that were closed, by ascending ID. Of those closed the latest are
	// listed each by itself, the others of a group as one (Past). RegionOf finds the one in which a region's totals are.
	Regions []RegionStats

	// Groups are the exact totals by region, stack, access, source and actor;
	// they stay exact when Faults is cut at its limit.
	Groups []Group

	// Faults is the log of first touches in claim order. It is bounded (see WithLogLimit);
	// Stats.LogCut counts what is only in the totals.
	Faults []Fault

	// Threads has the totals by toucher thread.
	Threads []ThreadStats

	// Events are what happened to the regions and the profiler, oldest first; the last 512.
	Events []Event

	// Blocked are the times in which Ps stood in page faults, oldest first, in spans of 25 ms and more; Stats.Blocked are the totals.
	Blocked []BlockedSpan

	// Stats is what the engine says of itself: show it next to every result.
	Stats Stats

	stacks *stackTable
	spans  *spanTable
	moved  []movedRegion
}

// RegionStats is one region in a Snapshot. Sizes are in bytes.
type RegionStats struct {
	ID   RegionID
	Name string // as registered; for files the path; UTF-8, with \xNN for bytes that are none
	// Group is what the region's totals are added to in metrics and, once it was closed, here; its name unless WithGroup
	// says otherwise. Sums over a group never go back.
	Group    string
	Kind     Kind
	Granule  int   // bytes that one fault resolves, before widening
	Size     int64 // extent of the region: arena size, or highest file offset ever mapped
	Mapped   int64 // bytes mapped and observed now
	Touched  int64 // bytes of distinct granules touched since Start; cut at Size, but one that a mapping begins or ends in the middle of counts whole, so that it may exceed Mapped
	Faults   uint64
	Messages uint64 // kernel messages, at least Faults
	CoTouch  uint64 // messages of other threads for a granule being resolved; a lower bound
	Stall    Histogram
	Disk     Histogram // stall of the faults whose source was SourceDisk
	// StallsUnknown counts the faults that are not in Stall, see WaitUnknown.
	StallsUnknown uint64
	Detached      bool
	// Past is how many regions of the group, all of them closed, are added up in this one; 0 for a region by itself. Where they
	// were touched is not kept.
	Past int
	// Rearms counts how often the region was armed again; faults then can exceed granules.
	Rearms uint64
	// Widened counts granules that were made accessible together with a neighbour's fault,
	// to stay below vm.max_map_count: their own first touch was not seen.
	Widened uint64
	// Left counts pages of private memory that could not be moved, because the kernel has pinned them for
	// a device or io_uring. They are not observed any more.
	Left uint64
	// Discarded counts pages of private memory whose owner discarded them (MADV_DONTNEED) while only their
	// writes were observed: writes to them are not seen until the region is armed again.
	Discarded uint64
	// Stopped is the longest time for which the touchers of private memory, or all threads where no guard
	// holds it, were stopped while it was armed.
	Stopped time.Duration
	// Mappings lists the address ranges of the region that are observed now.
	Mappings []MappingStats
	// Note says in a sentence what limits this region's result, or is empty.
	Note string
	// Sampling is how much of the region was observed, since when; empty where it was all the time all of it.
	// Touched, Faults and the others are what was seen; Estimate is what there was.
	Sampling []SamplingStep
	Estimate Estimate
	// Heap is only there for the Go heap, of which Mapped, Touched and the totals are those of the blocks
	// that are observed.
	Heap *HeapStats

	touched bitmap
	sampled *sampled // nil where all of it was observed
}

// MappingStats is one observed address range of a region.
type MappingStats struct {
	Start, End uintptr       // half open
	Offset     int64         // region offset of Start
	Since      time.Duration // CLOCK_MONOTONIC when it was armed; earlier touches are unknown
	Latency    time.Duration // at most this long between the mapping's creation and its arming; 0 when the engine made it, or it was there before the look that found the file
}

// Unseen is the longest time for which a mapping of the region was there before it was observed, at most: what was touched in it until then is unknown.
func (r *RegionStats) Unseen() (longest time.Duration) {
	for _, m := range r.Mappings {
		longest = max(longest, m.Latency)
	}
	return longest
}

// Kind is the kind of memory of a region.
type Kind uint8

const (
	KindArena      Kind = iota // anonymous memory made by NewArena
	KindMappedFile             // a file mapped by MapFile
	KindAttached               // file mappings that other code made, found by AttachFile
	KindMemory                 // memory that existed before, see AttachMemory
	KindGoHeap                 // the heap of the Go runtime, see AttachGoHeap
)

// Group is the exact total of the faults that share region, stack, access, source and actor.
type Group struct {
	Region RegionID
	Stack  StackID
	Access Access
	Source Source
	Actor  Actor
	Faults uint64
	Bytes  uint64 // of the granules made accessible, counted as in RegionStats.Touched
	Stall  time.Duration
	Max    time.Duration // longest single stall
	// Blocked is the group's part of the time in which all Ps stood, see Blocked: each fault that held one of n has an nth. Those of all
	// groups make up Stats.Blocked.All, but for faults that are not over yet.
	Blocked time.Duration
	Scaled  Scaled // Faults, Bytes and Stall as estimated where only a part of the region is observed
}

// ThreadStats is the total of one toucher thread. Thread 0 stands for those that came when 4,096 others were known.
type ThreadStats struct {
	Thread int32
	Faults uint64
	Stall  time.Duration
}

// Stats is what the engine says of its own exactness and cost. Faults = Records + Dropped.
type Stats struct {
	Faults   uint64 // first touches claimed and resolved
	Messages uint64 // kernel messages read
	Records  uint64 // faults whose record reached the aggregate
	Dropped  uint64 // faults whose record was lost because the ring was full
	// Elsewhere counts the page faults of memory that no region has, which are seen with DeliveryObserve alone.
	Elsewhere    uint64
	LogCut       uint64 // records counted in Groups and Regions but left out of Faults
	Stacks       uint64 // records with a stack
	StacksMissed uint64 // a stack was asked for and did not arrive (thread ended, signal blocked, goroutine preempted at the fault, no slot)
	// StallsUnknown counts faults whose stall nobody could tell, see WaitUnknown. Waiting counts those whose thread waits for storage
	// longer than 250 ms now: they are in no other figure, and are recorded when that is over.
	StallsUnknown uint64
	Waiting       uint64
	StacksCut     uint64        // stacks deeper than the 62 frames that are kept, or left out because there were too many different ones
	Unattributed  uint64        // records without a span
	SpansDropped  uint64        // spans that found no free slot: their faults are unattributed
	ResolveErrs   uint64        // resolves that failed; the region failed open
	Overhead      time.Duration // processor time of the engine's threads
	// Blocked is for how long Ps stood in page faults.
	Blocked Blocked
	// Stops counts how often the process's other threads were stopped so that mappings of other code could be changed,
	// also where not all of them could be in time; Stopped is for how long in all, from when the first one was asked.
	Stops   uint64
	Stopped time.Duration
	// Signal is the one that asks threads, 0 while there is none. SignalTaken says what became of those before it, which
	// other code has taken (WithSignal); empty where all is as it was.
	Signal      int
	SignalTaken string
	// StackSampling says which faults had a stack taken, in words ("every fault", "1 in 64", "at most 100/s").
	StackSampling string
	// Delivery says how faults reach the profiler: "thread", "signal" or "observe", see Delivery.
	Delivery string
	// Placement says where the resolver runs, which decides what a fault costs.
	Placement string
	// LastError is the kernel's answer to the last resolve that failed, or what a thread waits for that cannot be
	// had; or empty.
	LastError string
	// UserModeOnly: faults from inside system calls are not served; such a call fails with EFAULT.
	UserModeOnly bool
	// Off says why the profiler was taken off: nothing is observed any more, and every region is, or is being made, plain
	// memory. Empty while it is on.
	Off string
	// Budget is what the policy says that keeps the cost within a limit; zero where there is none.
	Budget Budget
	// Notes are reports of the engine, newest last: what failed open, what is not seen, and why.
	Notes []string
}

// Region returns the statistics of the region with the given name, or nil.
func (s *Snapshot) Region(name string) *RegionStats {
	for i := range s.Regions {
		if s.Regions[i].Name == name {
			return &s.Regions[i]
		}
	}
	return nil
}

// RegionOf returns the region in which the totals of a region are: itself, or the one that it was added to after it was closed.
// It is never nil: what is not known any more is a region of OtherGroup without totals.
func (s *Snapshot) RegionOf(id RegionID) *RegionStats {
	if to, ok := movedTo(s.moved, id); ok {
		id = to
	}
	if r := s.find(id); r != nil {
		return r
	}
	return lostRegion(id)
}

// Has reports whether the region's totals are listed, by itself or in another one. They always are but for one that was closed
// before more than 100,000 others were.
func (s *Snapshot) Has(id RegionID) bool { return s.find(s.RegionOf(id).ID) != nil }

// find returns the region that is listed under an id, or nil.
func (s *Snapshot) find(id RegionID) *RegionStats {
	if uint64(id) < uint64(len(s.Regions)) && s.Regions[id].ID == id { // most often none has gone
		return &s.Regions[id]
	}
	i := sort.Search(len(s.Regions), func(i int) bool { return s.Regions[i].ID >= id })
	if i < len(s.Regions) && s.Regions[i].ID == id {
		return &s.Regions[i]
	}
	return nil
}

// Stack returns the program counters of a stack, leaf first. pcs[0] is the faulting instruction,
// the others are return addresses. The caller must not modify it. nil for StackID 0.
func (s *Snapshot) Stack(id StackID) []uintptr { return s.stacks.get(id) }

// Frames expands a stack, inlined calls included, leaf first.
func (s *Snapshot) Frames(id StackID) []runtime.Frame { return s.stacks.frames(id) }

// FramesAt names the code of one entry of a stack: the function that holds the instruction, behind those
// inlined into it. It takes the address behind the instruction, which is the entry itself, and for the
// first entry of a stack, the faulting instruction, the entry plus one.
func (s *Snapshot) FramesAt(after uintptr) []runtime.Frame { return s.stacks.framesAt(after) }

// Span returns what is known of a span that faults are attributed to.
func (s *Snapshot) Span(ref SpanRef) (SpanStats, bool) { return s.spans.get(ref) }

// TouchedAt reports whether the granule that holds the region offset was touched since Start.
func (r *RegionStats) TouchedAt(offset int64) bool {
	return offset >= 0 && r.touched.has(uint64(offset)/uint64(r.Granule))
}

// TouchedGranules calls yield with the region offset of every touched granule, ascending.
func (r *RegionStats) TouchedGranules(yield func(offset int64) bool) {
	r.touched.each(func(i uint64) bool { return yield(int64(i) * int64(r.Granule)) })
}

// Sub returns what happened between old, an earlier snapshot of the same Profiler, and s. Messages
// count when they are read: at the edges of the window they may be those of faults before or after.
func (s *Snapshot) Sub(old *Snapshot) *Snapshot { return sub(s, old) }

// GranuleBytes is the size of the granule that holds a region offset; the last one of a region may
// be cut short.
func (r *RegionStats) GranuleBytes(offset int64) int64 {
	return r.extent(uint64(offset) / uint64(r.Granule))
}
