package demo

import (
	"fmt"
	"math"
	"time"

	"github.com/firsttouch/firsttouch/internal/demo/index"
)

// Requests a second of each phase on two processors, for the guess of how long it takes.
const (
	coldRate     = 1000
	warmRate     = 3000
	profiledRate = 500 // cold, with the profiler, every stack taken
)

// steps tell whoever waits where the demo is.
type steps struct {
	done, of int
	begin    func(string)   // nil is silent
	progress index.Progress // within a step; nil is silent
}

// newSteps counts the steps: the index, two phases of two runs, windows where they are wanted, and the results.
func newSteps(o *Options) steps {
	s := steps{of: 2 + 2*len(phases), begin: o.Step, progress: o.Progress}
	if o.Windows {
		s.of++
	}
	if o.Prefetch {
		s.of += startSteps
	}
	return s
}

// next begins a step, which takes about so long.
func (s *steps) next(what, about string) {
	s.done++
	if s.begin != nil {
		s.begin(fmt.Sprintf("step %d of %d: %s (%s)", s.done, s.of, what, about))
	}
}

// phase is next for one pass over n requests.
func (s *steps) phase(name string, profile bool, n int) {
	rate, how := warmRate, "without"
	if name == phases[0] {
		rate = coldRate
	}
	if profile {
		how = "with"
		if name == phases[0] {
			rate = profiledRate
		}
	}
	s.next(fmt.Sprintf("%s requests, %s the profiler", name, how), roughly(time.Duration(n)*time.Second/time.Duration(rate)))
}

// at tells how far the step is.
func (s *steps) at(stage string, done, total int) {
	if s.progress != nil {
		s.progress(stage, int64(done), int64(total))
	}
}

// roughly writes a guess as one.
func roughly(d time.Duration) string {
	switch {
	case d < 3*time.Second:
		return "a few seconds"
	case d < 90*time.Second:
		return fmt.Sprintf("about %.0f s", math.Ceil(d.Seconds()/5)*5)
	}
	return fmt.Sprintf("about %.0f min", math.Ceil(d.Minutes()))
}
