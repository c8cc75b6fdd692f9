package profiler

import (
	"runtime"
	"testing"
)

// Whose work a stack is, leaf first.
func TestActorOfStack(t *testing.T) {
	const here = "github.com/firsttouch/firsttouch/profiler."
	for _, c := range []struct {
		name   string
		frames []string
		want   Actor
	}{
		{"no stack", nil, ActorUnknown},
		{"a function of the program", []string{"main.walk", "main.main", "runtime.main", "runtime.goexit"}, ActorProgram},
		{"an allocation", []string{"runtime.memclrNoHeapPointers", "runtime.mallocgc", "runtime.newobject", "main.f", "runtime.goexit"}, ActorProgram},
		{"C code", []string{""}, ActorProgram},
		{"a worker", []string{"runtime.scanObjectSmall", "runtime.scanSpan", "runtime.gcDrain", "runtime.gcBgMarkWorker.func2", "runtime.systemstack"}, ActorGC},
		{"an assist", []string{"runtime.scanObject", "runtime.gcDrainN", "runtime.gcAssistAlloc1", "runtime.gcAssistAlloc.func2", "runtime.systemstack"}, ActorGC},
		{"sweeping for an allocation", []string{"runtime.(*mspan).moveInlineMarks", "runtime.(*sweepLocked).sweep", "runtime.(*mcentral).cacheSpan", "runtime.mallocgc", "main.f"}, ActorGC},
		{"a full write barrier", []string{"runtime.wbBufFlush1", "runtime.wbBufFlush.func1", "runtime.systemstack"}, ActorGC},
		{"a function whose name begins alike", []string{"runtime.gcDrainage", "main.f"}, ActorProgram},
		{"a growing stack", []string{"runtime.memmove", "runtime.copystack", "runtime.newstack", "runtime.morestack"}, ActorRuntime},
		{"the scheduler", []string{"runtime.runqget", "runtime.findRunnable", "runtime.schedule", "runtime.mcall"}, ActorRuntime},
		{"the fold", []string{"runtime.growslice", here + "(*aggregate).add", here + "(*Profiler).fold", here + "(*Profiler).foldLoop"}, ActorProfiler},
		{"the collector's work in the fold", []string{"runtime.sweepone", "runtime.deductSweepCredit", here + "(*Profiler).fold"}, ActorGC},
		{"a program's observer", []string{"main.observe", here + "(*Profiler).foldOne"}, ActorProfiler},
	} {
		var frames []runtime.Frame
		for _, f := range c.frames {
			frames = append(frames, runtime.Frame{Function: f})
		}
		if got := actorOf(frames); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
