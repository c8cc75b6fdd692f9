package traces

import "time"

// clock relates the clock of faults, CLOCK_MONOTONIC, to the monotonic reading that a time.Time
// carries. Both are the same clock with different zeros, so that one pair of readings holds for the
// life of the process, whatever happens to the wall clock.
type clock struct {
	at   time.Time
	mono time.Duration
}

// clockTries is how often the pair is read; the closest counts, since the goroutine may be held up
// between the two readings.
const clockTries = 8

func newClock(monotonic func() time.Duration) (best clock) {
	width := time.Duration(1<<63 - 1)
	for range clockTries {
		before := time.Now()
		m := monotonic()
		if w := time.Since(before); w < width {
			width, best = w, clock{before, m}
		}
	}
	return best
}

// wall is the wall-clock time of a moment.
func (c clock) wall(mono time.Duration) time.Time { return c.at.Add(mono - c.mono) }

// timeline places moments within a span: on its own time line, which is the wall clock at its start and
// the monotonic clock from there, as the SDK computes its end. What lies outside is moved to the
// nearer end: the fault of another goroutine may be resolved only after the span has ended, and a
// start or an end may have been set by hand.
type timeline struct{ start, end time.Time }

func (t timeline) at(c clock, mono time.Duration) time.Time {
	w := t.start.Add(mono - c.mono - t.start.Sub(c.at))
	return t.clamp(w)
}

func (t timeline) clamp(w time.Time) time.Time {
	if w.After(t.end) {
		w = t.end
	}
	if w.Before(t.start) {
		w = t.start
	}
	return w
}
