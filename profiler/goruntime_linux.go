//go:build linux && (amd64 || arm64)

package profiler

import (
	"slices"
	"strings"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/pclntab"
)

// Tests set these, where something is not to be known of the Go runtime.
var (
	functionTable = pclntab.Self
	forget        func(*engine.GoRuntime)
)

// noteGo says what results lose because it could not be found in the Go runtime: docs/go-runtime.md has the list.
func (p *Profiler) noteGo(known engine.GoRuntime, tableErr error) {
	if tableErr != nil {
		p.note("callers of functions without a frame are missing from stacks: %v", tableErr)
	}
	if known.TextLo == 0 {
		p.note("where Go's code lies is not known in this version of Go: callers of functions without a frame are missing from stacks, and on arm64 goroutines and spans")
	}
	if known.Preempt == 0 {
		p.note("runtime.asyncPreempt is not known in this version of Go or way of building: the stack of a fault that a preemption met begins with it")
	}
	if p.obs == nil && !engine.CrashNamed() {
		p.note("what the process prints when it crashes does not name the profiler: the runtime's functions that print it are not known in this version of Go, or other code has replaced how it prints")
	}
	if !known.Frames {
		p.note("stacks cannot be walked in this version of Go: they have the innermost function only, and who touches the Go heap is not known")
	}
	switch {
	case known.Goid == 0:
		p.note("goroutine ids are not known in this version of Go: faults are not attributed to spans")
	case known.Parent == 0:
		p.note("parents of goroutines are not known in this version of Go: a goroutine that a handler starts is not attributed to its span")
	}
}

// noteCollector looks whether the functions by which the garbage collector is told are those of this version of Go. Where
// one is not, a stack of the runtime's functions alone tells nothing.
func (p *Profiler) noteCollector() {
	if p.text == nil {
		return // whose note is there
	}
	var missing []string
	for name := range gcFunctions {
		if !p.text.HasName(name) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return
	}
	slices.Sort(missing)
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	p.renamed = true
	p.noteLocked("whether the garbage collector or the rest of the runtime touches the Go heap is not known in this version of Go, which has no %s: both are unknown, where the collector is not recognised by another function", strings.Join(missing, ", "))
}
