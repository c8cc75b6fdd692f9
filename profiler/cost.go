package profiler

import (
	"fmt"
	"time"
)

// Cost is what observation has cost since the Profiler was started, see Profiler.Cost.
type Cost struct {
	// Engine is the processor time of the engine's threads and of its signal handler, as in Stats.Overhead.
	Engine time.Duration
	// Touchers is an estimate of what the threads that touch paid on top of the kernel's own fault: two
	// switches and the kernel's message. It is Faults times TouchCost; how long they waited is not in it.
	Touchers time.Duration
	Faults   uint64 // first touches that were seen
	// Stopped is for how long the process's other threads were stopped, as in Stats.Stopped. It is no processor time, and
	// not in Total.
	Stopped time.Duration
}

// TouchCost is the processor time that a first touch costs its thread on top of what the kernel would have
// taken for it anyway: go test ./bench -run TouchCost -v measures it.
const TouchCost = 4 * time.Microsecond

// String says it in one line; empty without a budget.
func (b Budget) String() string {
	if b.Limit == "" {
		return ""
	}
	return fmt.Sprintf("%s; spent lately: %s; %s; less was observed %d times, more again %d times", b.Limit, b.Spent, b.State, b.Cuts, b.Raises)
}

// Total is the processor time of all of it.
func (c Cost) Total() time.Duration { return c.Engine + c.Touchers }

// Budget is what was done to keep the cost within a limit, see WithBudget. The zero value stands for none.
type Budget struct {
	Limit   string        // in words, such as "1% of a processor"
	Spent   string        // in words, how much it was lately
	State   string        // in words, what is reduced and since when
	Cost    time.Duration // processor time in all, see Cost
	Share   float64       // of the blocks of the regions that is to be observed now; 0 is a pause
	Cuts    uint64        // how often less was observed, or fewer stacks were taken
	Raises  uint64        // how often it was more again
	Paused  time.Duration // in which nothing was observed
	Changed time.Time     // when the share was changed last; zero is never
}
