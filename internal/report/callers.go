package report

import (
	"cmp"
	"runtime"
	"slices"
	"strings"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
)

// callers are the first n of allCallers.
func callers(s *profiler.Snapshot, n int) []Caller {
	list := allCallers(s)
	return list[:min(n, len(list))]
}

// allCallers adds up the groups by the place that touched, the longest stall first.
func allCallers(s *profiler.Snapshot) []Caller {
	type place struct {
		function, from, file string
		line                 int
	}
	total := make(map[place]*Caller)
	blamed := make(map[profiler.StackID]place)
	for _, g := range s.Groups {
		key, ok := blamed[g.Stack]
		if !ok {
			at, from := blame(s.Frames(g.Stack))
			key = place{at.Function, from.Function, at.File, at.Line}
			blamed[g.Stack] = key
		}
		c := total[key]
		if c == nil {
			c = &Caller{Function: key.function, File: key.file, Line: key.line, From: key.from}
			total[key] = c
		}
		c.Faults += g.Faults
		c.Bytes += g.Bytes
		c.Stall.Sum += g.Stall
		c.Stall.Max = max(c.Stall.Max, g.Max)
	}
	list := make([]Caller, 0, len(total))
	for _, c := range total {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b Caller) int {
		return cmp.Or(cmp.Compare(b.Stall.Sum, a.Stall.Sum), cmp.Compare(b.Faults, a.Faults),
			cmp.Compare(a.Function, b.Function), cmp.Compare(a.Line, b.Line), cmp.Compare(a.From, b.From))
	})
	return list
}

// blame finds the code that a reader can change: the innermost frame that does not move or compare
// memory on behalf of its caller, and the code further out that had it done, at last the root of
// the goroutine. A stack all of the runtime is blamed on its innermost frame.
func blame(frames []runtime.Frame) (at, from runtime.Frame) {
	i := exporter.Caller(frames)
	if i < 0 {
		return at, from
	}
	at = frames[i]
	own := exporter.Package(at.Function)
	for j := i + 1; j < len(frames); j++ {
		f, inner := frames[j], frames[j-1]
		if exporter.ServesCaller(f) {
			continue
		}
		from = f
		pkg := exporter.Package(f.Function)
		callback := exporter.Package(inner.Function) == own && isClosure(inner.Function)
		if pkg != own && !hides(pkg, own) && !callback {
			break
		}
	}
	return at, from
}

// isClosure reports whether a function was written inside another. Who calls it runs it on behalf of
// the one that handed it over, as a database does with the body of a transaction.
func isClosure(function string) bool {
	return strings.Contains(function[strings.LastIndexByte(function, '/')+1:], ".func")
}

// hides reports whether inner is an internal package of the module or library that pkg is the
// public face of: for a reader both are the library.
func hides(pkg, inner string) bool {
	library, _, internal := strings.Cut(inner, "/internal/")
	return internal && !strings.Contains(pkg, "/internal/") && (pkg == library || strings.HasPrefix(pkg, library+"/"))
}
