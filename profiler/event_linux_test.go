//go:build linux && (amd64 || arm64)

package profiler

import (
	"slices"
	"testing"
	"time"
)

// What happens to a region is told in order, what repeats itself once, with its number.
func TestEventsOfARegion(t *testing.T) {
	p := newProfiler(t, WithRing(64))
	arena, err := p.NewArena("arena", 400*pageSize)
	if err != nil {
		t.Fatal(err)
	}
	for k := range 400 {
		arena.Bytes()[k*pageSize] = 1
	}
	for range 3 {
		rearm(t, arena) // or skip
	}
	before := p.Snapshot()
	if err := arena.Close(); err != nil {
		t.Fatal(err)
	}
	s := p.Snapshot()
	var kinds []EventKind
	counts := make(map[EventKind]uint64)
	for i, e := range s.Events {
		counts[e.Kind] += e.Count
		if e.Region == "arena" {
			kinds = append(kinds, e.Kind)
		}
		if e.Time > e.Last || e.Last > s.EndMono || i > 0 && e.Time < s.Events[i-1].Time {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	if !slices.Equal(kinds, []EventKind{EventAttached, EventRearmed, EventDetached}) || counts[EventRearmed] != 3 {
		t.Errorf("events %+v", s.Events)
	}
	if counts[EventDropped] != s.Stats.Dropped {
		t.Errorf("%d dropped by the events, %d by the statistics", counts[EventDropped], s.Stats.Dropped)
	}
	if d := s.Sub(before).Events; len(d) != 1 || d[0].Kind != EventDetached {
		t.Errorf("in between: %+v", d)
	}
}

func TestEventsAreBounded(t *testing.T) {
	a := newAggregate(0)
	for i := range 2 * eventsMost {
		now := time.Duration(i) * 3 * eventPause
		a.event(now, EventRearmed, "r", "", 1)
		a.event(now+eventPause, EventRearmed, "r", "", 2)
	}
	if e := a.events[0]; len(a.events) != eventsMost || e.Count != 3 || e.Last-e.Time != eventPause {
		t.Errorf("%d events, the first %+v", len(a.events), a.events[0])
	}
}
