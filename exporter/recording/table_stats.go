package recording

import (
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

func visitEvent(c *columns, e *profiler.Event) {
	step(c, 1, &e.Time)
	step(c, 2, &e.Last)
	text(c, 3, &e.Kind)
	text(c, 4, &e.Region)
	text(c, 5, &e.Text)
	number(c, 6, &e.Count)
}

// visitStats leaves the notes to a table of their own.
func visitStats(c *columns, s *profiler.Stats) {
	number(c, 1, &s.Faults)
	number(c, 2, &s.Messages)
	number(c, 3, &s.Records)
	number(c, 4, &s.Dropped)
	number(c, 5, &s.LogCut)
	number(c, 6, &s.Stacks)
	number(c, 7, &s.StacksMissed)
	number(c, 8, &s.StacksCut)
	number(c, 9, &s.Unattributed)
	number(c, 10, &s.SpansDropped)
	number(c, 11, &s.ResolveErrs)
	number(c, 12, &s.Overhead)
	text(c, 13, &s.StackSampling)
	text(c, 14, &s.Placement)
	text(c, 15, &s.LastError)
	flag(c, 16, &s.UserModeOnly)
	text(c, 17, &s.Budget.Limit)
	text(c, 18, &s.Budget.Spent)
	text(c, 19, &s.Budget.State)
	number(c, 20, &s.Budget.Cost)
	real(c, 21, &s.Budget.Share)
	number(c, 22, &s.Budget.Cuts)
	number(c, 23, &s.Budget.Raises)
	number(c, 24, &s.Budget.Paused)
	changed := unixNano(s.Budget.Changed)
	number(c, 25, &changed)
	if c.reading {
		s.Budget.Changed = timeOf(changed)
	}
	text(c, 26, &s.Delivery)
	number(c, 27, &s.Stops)
	number(c, 28, &s.Stopped)
	text(c, 29, &s.Off)
	number(c, 30, &s.Signal)
	text(c, 31, &s.SignalTaken)
	number(c, 32, &s.StallsUnknown)
	number(c, 33, &s.Waiting)
	number(c, 34, &s.Elsewhere)
	b := &s.Blocked
	number(c, 35, &b.Procs)
	for i, v := range []*time.Duration{&b.Sum, &b.Any, &b.All, &b.GCLeast, &b.GCMost} {
		number(c, 36+i, v)
	}
	number(c, 41, &b.GCStops)
}

func visitBlocked(c *columns, b *profiler.BlockedSpan) {
	step(c, 1, &b.From)
	step(c, 2, &b.To)
	number(c, 3, &b.Sum)
	number(c, 4, &b.All)
}
