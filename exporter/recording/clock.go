package recording

import (
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// clock relates time.Time to CLOCK_MONOTONIC, the clock of faults. A time.Time that time.Now made
// carries a reading of the same clock with another zero, so one pair of readings holds for the life
// of the process.
type clock struct {
	at   time.Time
	mono time.Duration
}

func newClock() clock { return clock{time.Now(), profiler.Monotonic()} }

func (c clock) of(t time.Time) time.Duration { return c.mono + t.Sub(c.at) }
