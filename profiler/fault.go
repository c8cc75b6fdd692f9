package profiler

import "time"

// Access is how the first touch of a granule was made.
type Access uint8

// The kinds of access that the kernel tells apart in the message of a userfaultfd.
const (
	Read  Access = iota // a load, or a system call that reads from the page
	Write               // a store, or a system call that writes to the page
	// AccessUnknown: page faults are observed (DeliveryObserve), of which the kernel does not tell.
	AccessUnknown
)

// Source is where the contents of a resolved granule came from.
type Source uint8

const (
	SourceUnknown   Source = iota // the engine could not tell, for example because the resolve failed
	SourceZero                    // fresh memory, filled with zeros
	SourcePageCache               // a file page that was in the page cache
	SourceDisk                    // a page that had to be read from storage: that of its file, or swap
	SourceMemory                  // memory that held it already; with WithWritesOnly always this
)

// Wait is how well it is known for how long a thread waited.
type Wait uint8

const (
	WaitMeasured Wait = iota
	// WaitAtMost: the page was touched in a system call, and Stall is the time until that had returned.
	WaitAtMost
	// WaitUnknown: Stall is 0, and in no sum. The thread that waited for storage could not be asked: it blocks the engine's signal, or
	// ended, or Go ran another goroutine on it.
	WaitUnknown
)

// String is "measured", "at most" or "unknown".
func (w Wait) String() string {
	switch w {
	case WaitMeasured:
		return "measured"
	case WaitAtMost:
		return "at most"
	default:
		return "unknown"
	}
}

// RegionID identifies a region for the life of its Profiler. The ids ascend, and none is used again: Snapshot.RegionOf finds
// what is known of the region.
type RegionID uint32

// StackID identifies a stack for the life of its Profiler. 0 is "no stack was taken".
type StackID uint32

// SpanRef identifies a span known to the Profiler, see Snapshot.Span. 0 is "no span".
type SpanRef uint64

// Fault is one first touch of a granule since it was armed.
type Fault struct {
	Seq       uint64        // claim order over all regions, starting at 0; dropped records have none
	Time      time.Duration // CLOCK_MONOTONIC when the fault was claimed, before it was resolved
	Address   uintptr       // exact address of the access
	Offset    int64         // Address as a byte offset into the region (for a file: into the file)
	Stall     time.Duration // from the claim until the thread had its page, as Wait says; see the package's caveats
	Goroutine uint64        // goroutine id, as in a stack dump; 0 is unknown
	Span      SpanRef       // innermost span its goroutine worked for; 0 is unattributed
	Thread    int32         // kernel thread id (gettid) of the toucher
	Region    RegionID
	Stack     StackID
	Messages  uint32 // kernel messages folded into this fault until it was resolved, at least 1
	Access    Access
	Source    Source
	Wait      Wait  // how Stall is known
	Actor     Actor // of the Go heap
	// Weight is how many first touches the fault stands for where only a part of its region is observed: 1
	// where all of it is, and 0 for one outside of the part, which is in no estimate.
	Weight float64
}
