package metrics

import (
	"sync"

	"github.com/firsttouch/firsttouch/profiler"
)

// queue holds the faults between the profiler, which does not wait, and the goroutine that records them.
type queue struct {
	bell chan struct{} // rung when there is something to take
	most int

	mu     sync.Mutex // guards what follows; taken while the profiler holds its own locks
	faults []profiler.Fault
	spare  []profiler.Fault // what was taken last, to be filled after the next take
}

func newQueue(most int) *queue { return &queue{bell: make(chan struct{}, 1), most: most} }

// add reports whether there was a place.
func (q *queue) add(f profiler.Fault) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.faults) >= q.most {
		return false
	}
	if q.faults = append(q.faults, f); len(q.faults) == 1 {
		select {
		case q.bell <- struct{}{}:
		default:
		}
	}
	return true
}

// take returns all that wait, in claim order. They are the caller's until the next take.
func (q *queue) take() []profiler.Fault {
	q.mu.Lock()
	defer q.mu.Unlock()
	faults := q.faults
	q.faults, q.spare = q.spare[:0], nil
	if cap(faults) <= keepMost {
		q.spare = faults
	}
	return faults
}

// keepMost bounds the memory that is kept after a storm.
const keepMost = 1 << 14
