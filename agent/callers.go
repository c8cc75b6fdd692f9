package agent

import (
	"cmp"
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
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

// topCallers adds up the groups by caller, longest stall first, and returns the first n with the number of those left out.
func topCallers(s *profiler.Snapshot, n int) (top []caller, rest int) {
	total := make(map[caller]*caller)
	blamed := make(map[profiler.StackID]caller)
	for _, g := range s.Groups {
		key, ok := blamed[g.Stack]
		if !ok {
			key = callerOf(s, g.Stack)
			blamed[g.Stack] = key
		}
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

// callerOf names a stack by the code that is blamed for it in every output.
func callerOf(s *profiler.Snapshot, id profiler.StackID) caller {
	frames := s.Frames(id)
	i := exporter.Caller(frames)
	if i < 0 {
		return caller{Function: noStack}
	}
	return caller{Function: frames[i].Function, File: frames[i].File, Line: frames[i].Line}
}
