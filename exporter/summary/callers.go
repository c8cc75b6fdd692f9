package summary

import (
	"cmp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
)

// CallerList is the code that touched memory first, the longest stall first as Caller.Estimate has it; what no stack was taken of is last.
type CallerList struct {
	Callers []Caller
	Stacked float64 // part of the stall whose stack was taken
}

// stratum are faults of which those without a stack are taken to be like those with one.
type stratum struct {
	region profiler.RegionID
	access profiler.Access
	source profiler.Source
	actor  profiler.Actor
}

// stacked are the totals of a stratum, of all its faults and of those with a stack.
type stacked struct{ all, with CallerEstimate }

// factor is by what totals are multiplied.
type factor struct{ faults, bytes, stall float64 }

var one = factor{1, 1, 1}

// estimateOf is what there was of a group, of a region of which maybe not all was observed.
func estimateOf(s *profiler.Snapshot, g *profiler.Group) CallerEstimate {
	if len(s.RegionOf(g.Region).Sampling) == 0 {
		return CallerEstimate{float64(g.Faults), float64(g.Bytes), g.Stall}
	}
	return CallerEstimate(g.Scaled)
}

func (e *CallerEstimate) add(x CallerEstimate, by factor) {
	e.Faults += x.Faults * by.faults
	e.Bytes += x.Bytes * by.bytes
	e.Stall += time.Duration(float64(x.Stall) * by.stall)
}

// factor makes those with a stack stand for all.
func (s *stacked) factor() factor {
	by := func(all, with float64) float64 {
		if with <= 0 {
			return 1
		}
		return all / with
	}
	return factor{by(s.all.Faults, s.with.Faults), by(s.all.Bytes, s.with.Bytes), by(float64(s.all.Stall), float64(s.with.Stall))}
}

// Callers adds up the groups by the place that touched.
func Callers(s *profiler.Snapshot) CallerList {
	type place struct {
		function, from, file string
		line                 int
	}
	strata := make(map[stratum]*stacked)
	var all, with CallerEstimate
	for i := range s.Groups {
		g := &s.Groups[i]
		k := stratum{g.Region, g.Access, g.Source, g.Actor}
		if strata[k] == nil {
			strata[k] = &stacked{}
		}
		e := estimateOf(s, g)
		strata[k].all.add(e, one)
		all.add(e, one)
		if g.Stack != 0 {
			strata[k].with.add(e, one)
			with.add(e, one)
		}
	}
	total := make(map[place]*Caller)
	blamed := make(map[profiler.StackID]place)
	for i := range s.Groups {
		g := &s.Groups[i]
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
		c.Blocked += g.Blocked
		c.Stall.Max = max(c.Stall.Max, g.Max)
		st := strata[stratum{g.Region, g.Access, g.Source, g.Actor}]
		switch {
		case g.Stack != 0:
			c.Estimate.add(estimateOf(s, g), st.factor())
		case st.with.Faults == 0:
			c.Estimate.add(estimateOf(s, g), one) // nobody is like these
		}
	}
	out := CallerList{Callers: make([]Caller, 0, len(total)), Stacked: 1}
	for _, c := range total {
		out.Callers = append(out.Callers, *c)
	}
	if all.Stall > 0 {
		out.Stacked = float64(with.Stall) / float64(all.Stall)
	}
	slices.SortFunc(out.Callers, func(a, b Caller) int {
		return cmp.Or(lastWithout(a, b), cmp.Compare(b.Estimate.Stall, a.Estimate.Stall), cmp.Compare(b.Faults, a.Faults),
			cmp.Compare(a.Function, b.Function), cmp.Compare(a.Line, b.Line), cmp.Compare(a.From, b.From))
	})
	return out
}

// lastWithout puts what has no stack behind what has one.
func lastWithout(a, b Caller) int {
	switch without := a.Function == ""; {
	case without == (b.Function == ""):
		return 0
	case without:
		return 1
	}
	return -1
}

// Function is the code that a stack is blamed on, as Caller.Function has it.
func Function(s *profiler.Snapshot, stack profiler.StackID) string {
	at, _ := blame(s.Frames(stack))
	return at.Function
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
