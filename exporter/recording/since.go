package recording

import (
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// Since returns the recording without the faults up to the one with the number after, and without the requests
// that had ended at a moment on CLOCK_MONOTONIC: what is new for who has an earlier one. The totals stay.
func (r *Recording) Since(after uint64, ended time.Duration) *Recording {
	c, s := *r, *r.Snapshot
	from, _ := slices.BinarySearchFunc(s.Faults, after+1, func(f profiler.Fault, seq uint64) int {
		switch {
		case f.Seq < seq:
			return -1
		case f.Seq > seq:
			return 1
		}
		return 0
	})
	s.Faults = s.Faults[from:]
	c.Snapshot = &s
	c.Requests = nil
	for _, q := range r.Requests {
		if q.Start+q.Duration >= ended {
			c.Requests = append(c.Requests, q)
		}
	}
	return &c
}
