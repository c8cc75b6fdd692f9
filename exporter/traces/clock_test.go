package traces

import (
	"testing"
	"time"
)

func TestTimeline(t *testing.T) {
	now := time.Now()
	const zero = 5 * time.Hour // what the faults' clock shows at now
	c := clock{now, zero}
	for _, tc := range []struct {
		name       string
		start, end time.Time
		mono       time.Duration
		want       time.Time
	}{
		{"within", now.Add(time.Second), now.Add(3 * time.Second), zero + 2*time.Second, now.Add(2 * time.Second)},
		{"at the start", now.Add(time.Second), now.Add(3 * time.Second), zero + time.Second, now.Add(time.Second)},
		{"before", now.Add(time.Second), now.Add(3 * time.Second), zero, now.Add(time.Second)},
		{"after", now.Add(time.Second), now.Add(3 * time.Second), zero + time.Minute, now.Add(3 * time.Second)},
		{"before the pair was read", now.Add(-time.Minute), now, zero - time.Second, now.Add(-time.Second)},
		{"an end before the start", now, now.Add(-time.Second), zero, now},
		{"a start without a monotonic reading", now.Round(0), now.Round(0).Add(time.Minute), zero + time.Second, now.Add(time.Second)},
	} {
		if got := (timeline{tc.start, tc.end}).at(c, tc.mono); !got.Equal(tc.want) {
			t.Errorf("%s: %v from now, want %v", tc.name, got.Sub(now), tc.want.Sub(now))
		}
	}
}

// The closest pair counts: here the goroutine is held up in all readings but one.
func TestClockTakesTheClosestPair(t *testing.T) {
	n := time.Duration(0)
	c := newClock(func() time.Duration {
		if n++; n != 3 {
			time.Sleep(time.Millisecond)
		}
		return n
	})
	if c.mono != 3 {
		t.Errorf("reading %d was taken, want 3", c.mono)
	}
}
