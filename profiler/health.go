package profiler

import "time"

// Health is what a policy has to know that may end the profiler, see Profiler.Health.
type Health struct {
	// Stopped is for how long the process's other threads were stopped in all, see Stats.Stopped.
	Stopped time.Duration
	// Broken says why the profiler should not go on in this process, or is nil. It stays once it is there.
	Broken error
}
