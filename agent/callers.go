package agent

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// caller is the total of the faults that one line of code made.
type caller struct {
	Function string
	File     string
	Line     int
	Faults   uint64
	Bytes    uint64
	Stall    time.Duration
	Max      time.Duration
}

// Mean is the stall of a fault on average.
func (c caller) Mean() time.Duration { return c.Stall / time.Duration(max(c.Faults, 1)) }

// noStack stands for the faults whose stack was not taken; their counts are exact.
const noStack = "(no stack taken)"

// topCallers adds up the groups by the first caller outside the runtime, longest stall first, and
// returns the first n with the number of those left out.
func topCallers(s *profiler.Snapshot, n int) (top []caller, rest int) {
	total := make(map[caller]*caller)
	for _, g := range s.Groups {
		key := callerOf(s, g.Stack)
		c := total[key]
		if c == nil {
			c = &caller{Function: key.Function, File: key.File, Line: key.Line}
			total[key] = c
		}
		c.Faults += g.Faults
		c.Bytes += g.Bytes
		c.Stall += g.Stall
		c.Max = max(c.Max, g.Max)
	}
	for _, c := range total {
		top = append(top, *c)
	}
	slices.SortFunc(top, func(a, b caller) int {
		return cmp.Or(cmp.Compare(b.Stall, a.Stall), cmp.Compare(a.Function, b.Function), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	if len(top) > n {
		top, rest = top[:n], len(top)-n
	}
	return top, rest
}

// callerOf is the innermost frame of a stack that is not of the runtime, or the innermost one
// where all are.
func callerOf(s *profiler.Snapshot, id profiler.StackID) caller {
	frames := s.Frames(id)
	if len(frames) == 0 {
		return caller{Function: noStack}
	}
	for _, f := range frames {
		if !ofRuntime(f.Function) {
			return caller{Function: f.Function, File: f.File, Line: f.Line}
		}
	}
	f := frames[0]
	return caller{Function: f.Function, File: f.File, Line: f.Line}
}

// ofRuntime: memory is moved and compared there on behalf of its callers. A name without a package
// is one of the runtime's assembly routines, such as memeqbody.
func ofRuntime(function string) bool {
	if !strings.Contains(function, ".") {
		return true
	}
	for _, p := range []string{"runtime.", "runtime/internal/", "internal/runtime/", "internal/bytealg."} {
		if strings.HasPrefix(function, p) {
			return true
		}
	}
	return false
}
