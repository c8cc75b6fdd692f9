package profiler

import "time"

// EventKind is what happened to a region or to the profiler.
type EventKind string

// The kinds of events.
const (
	EventAttached EventKind = "attached" // memory of the region is observed that was not before
	EventDetached EventKind = "detached" // less of it is, or nothing
	EventRearmed  EventKind = "rearmed"
	EventWidened  EventKind = "widened" // Count granules were made accessible with a neighbour
	EventLeft     EventKind = "left"    // Count pages cannot be armed again
	EventDropped  EventKind = "dropped" // Count records found no place
	EventError    EventKind = "error"   // Count faults could not be resolved
	EventNote     EventKind = "note"
)

// Event is something that a reader of the faults around it has to know.
type Event struct {
	Time   time.Duration // CLOCK_MONOTONIC; of the first, where there are several
	Last   time.Duration // of the last
	Kind   EventKind
	Region string // name, or empty
	Text   string
	Count  uint64
}

const (
	// eventsMost bounds the events; older ones are forgotten first.
	eventsMost = 512
	// eventPause is how long after one of its kind an event counts as another: windows would fill the list.
	eventPause = 30 * time.Second
)

// event adds an event, or to the last one of the kind and region. Its owner serialises the calls.
func (a *aggregate) event(now time.Duration, kind EventKind, region, text string, count uint64) {
	for i := len(a.events) - 1; i >= 0; i-- {
		e := &a.events[i]
		if e.Kind == kind && e.Region == region && e.Text == text && now-e.Last <= eventPause {
			e.Count += count
			e.Last = now
			return
		}
	}
	if len(a.events) == eventsMost {
		a.events = a.events[:copy(a.events, a.events[1:])]
	}
	a.events = append(a.events, Event{Time: now, Last: now, Kind: kind, Region: region, Text: text, Count: count})
}
