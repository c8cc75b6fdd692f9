package profiler

import (
	"cmp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Actor is on whose behalf memory of the Go heap was touched first. In other regions it is ActorProgram.
type Actor uint8

const (
	ActorProgram  Actor = iota // the program's code, the allocations that it makes included
	ActorGC                    // the garbage collector: marking, sweeping, scavenging, and help that it has a goroutine give
	ActorRuntime               // the runtime for itself, with none of the program's code on the stack: scheduler, growing stacks
	ActorProfiler              // this profiler: the handler of its signal, which reads stacks, and its own goroutines
	ActorUnknown               // there is no stack that tells
)

// String is the lower-case word used in every output.
func (a Actor) String() string {
	switch a {
	case ActorProgram:
		return "program"
	case ActorGC:
		return "gc"
	case ActorRuntime:
		return "runtime"
	case ActorProfiler:
		return "profiler"
	}
	return "unknown"
}

// ActorStats is what one actor touched first. Bytes are those of its granules, counted again where they were
// armed again.
type ActorStats struct {
	Actor  Actor
	Faults uint64
	Bytes  uint64
	Stall  time.Duration
}

// Actors adds up a region's groups by actor, those without faults left out, the largest first. In a window
// (Sub) Bytes is what of the region's observed part the actor touched before the others.
func (s *Snapshot) Actors(id RegionID) (list []ActorStats) {
	var all [ActorUnknown + 1]ActorStats
	for _, g := range s.Groups {
		if g.Region == id {
			a := &all[min(g.Actor, ActorUnknown)]
			a.Faults += g.Faults
			a.Bytes += g.Bytes
			a.Stall += g.Stall
		}
	}
	for i, a := range all {
		if a.Faults > 0 {
			a.Actor = Actor(i)
			list = append(list, a)
		}
	}
	slices.SortStableFunc(list, func(a, b ActorStats) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return list
}

// The rule: a stack with one of these functions anywhere in it is the garbage collector's. They are where
// its work begins, on whatever goroutine or thread it is done; frames inside a function, such as
// runtime.gcDrain.func1, count as the function. Frames of the thread's own stack, where most of this runs,
// end where it was switched to, so the names must be those of functions that run there.
var gcFunctions = map[string]bool{
	// Marking: workers, roots, assists by goroutines that allocate, and write barriers that are full.
	"runtime.gcBgMarkWorker": true, "runtime.gcDrain": true, "runtime.gcDrainN": true,
	"runtime.gcDrainMarkWorkerIdle": true, "runtime.gcDrainMarkWorkerDedicated": true, "runtime.gcDrainMarkWorkerFractional": true,
	"runtime.markroot": true, "runtime.gcAssistAlloc": true, "runtime.gcAssistAlloc1": true,
	"runtime.wbBufFlush": true, "runtime.wbBufFlush1": true, "runtime.gcMarkTinyAllocs": true,
	// The steps of a cycle.
	"runtime.gcStart": true, "runtime.gcMarkDone": true, "runtime.gcMarkTermination": true, "runtime.gcMark": true,
	"runtime.gcSweep": true, "runtime.gcResetMarkState": true, "runtime.gcPrepareMarkRoots": true,
	"runtime.clearpools": true, "runtime.freeStackSpans": true, "runtime.prepareFreeWorkbufs": true, "runtime.freeSomeWbufs": true,
	// Sweeping, also when an allocation needs a span, and scavenging.
	"runtime.bgsweep": true, "runtime.sweepone": true, "runtime.deductSweepCredit": true,
	"runtime.(*sweepLocked).sweep": true, "runtime.(*mheap).reclaim": true,
	"runtime.bgscavenge": true, "runtime.(*pageAlloc).scavenge": true,
}

// profilerFunctions begin the names of functions that the profiler runs for itself.
var profilerFunctions = []string{
	"github.com/firsttouch/firsttouch/internal/engine.",
	"github.com/firsttouch/firsttouch/profiler.(*Profiler).",
	"github.com/firsttouch/firsttouch/profiler.(*Region).",
	"github.com/firsttouch/firsttouch/profiler.(*Windows).",
}

// actorOf tells whose work a stack is: the garbage collector's where one of its functions is on it,
// else the profiler's, else the runtime's where nothing but the runtime is on it.
func actorOf(frames []runtime.Frame) Actor {
	if len(frames) == 0 {
		return ActorUnknown
	}
	actor := ActorRuntime
	for _, f := range frames {
		name := outermost(f.Function)
		switch {
		case gcFunctions[name]:
			return ActorGC
		case actor != ActorProfiler && isProfiler(name):
			actor = ActorProfiler
		case actor == ActorRuntime && !isRuntime(name):
			actor = ActorProgram
		}
	}
	return actor
}

// outermost is the function that a function literal was written in: "runtime.gcDrain" for
// "runtime.gcDrain.func1.2".
func outermost(name string) string {
	if i := strings.Index(name, ".func"); i > 0 && i+5 < len(name) && name[i+5] >= '0' && name[i+5] <= '9' {
		return name[:i]
	}
	return name
}

func isProfiler(name string) bool {
	for _, p := range profilerFunctions {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// isRuntime: code without a name is C's, and so the program's. runtime.main and runtime.goexit are under
// every goroutine and tell nothing.
func isRuntime(name string) bool {
	return strings.HasPrefix(name, "runtime.") || strings.HasPrefix(name, "internal/runtime/")
}
