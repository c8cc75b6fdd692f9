package traces

import (
	"runtime"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/attribute"
)

// caller returns the attributes of the first caller outside the runtime, of the stack that waited
// longest; none where no stack was taken.
func (p *Processor) caller(faults []profiler.Fault) []attribute.KeyValue {
	waits := make(map[profiler.StackID]time.Duration)
	var longest profiler.StackID
	for _, f := range faults {
		if f.Stack == 0 {
			continue
		}
		waits[f.Stack] += f.Stall
		if longest == 0 || waits[f.Stack] > waits[longest] {
			longest = f.Stack
		}
	}
	if longest == 0 {
		return nil
	}
	f := outsideRuntime(p.src.Frames(longest))
	if f == nil {
		return nil
	}
	return []attribute.KeyValue{
		attribute.String(exporter.AttrFunction, f.Function),
		attribute.String(exporter.AttrFile, f.File),
		attribute.Int(exporter.AttrLine, f.Line),
	}
}

// outsideRuntime returns the first frame that is not of the runtime, or nil.
func outsideRuntime(frames []runtime.Frame) *runtime.Frame {
	for i := range frames {
		if f := &frames[i]; f.Function != "" && !inRuntime(f.Function) {
			return f
		}
	}
	return nil
}

// inRuntime tells the runtime, and the assembly and system calls that stand for it: copy() touches
// memory in runtime.memmove, a comparison of strings in internal/bytealg or in memeqbody, which has
// no package, and a read in syscall.
func inRuntime(function string) bool {
	// The package ends at the first dot behind the last slash.
	path, name := "", function
	if i := strings.LastIndexByte(function, '/'); i >= 0 {
		path, name = function[:i+1], function[i+1:]
	}
	elem, _, dotted := strings.Cut(name, ".")
	if !dotted {
		return name == "memeqbody" || name == "cmpbody" || name == "countbody" || name == "indexbytebody" || name == "indexbody"
	}
	switch pkg := path + elem; pkg {
	case "runtime", "internal/bytealg", "internal/abi", "syscall":
		return true
	default:
		return strings.HasPrefix(pkg, "internal/runtime/") || strings.HasPrefix(pkg, "runtime/internal/")
	}
}
