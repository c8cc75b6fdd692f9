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
	report   index.Progress // nil is silent
}

// newSteps counts the steps: the index, two phases of two runs, windows where they are wanted, and the results.
func newSteps(o *Options) *steps {
	s := &steps{of: 2 + 2*len(phases), report: o.Progress}
	if o.Windows {
		s.of++
	}
	return s
}

// next begins a step, which takes about so long, and returns what reports from within it.
func (s *steps) next(what, about string) index.Progress {
	s.done++
	if s.report == nil {
		return nil
	}
	prefix := fmt.Sprintf("step %d of %d, %s: ", s.done, s.of, about)
	s.report(prefix+what, 0, -1)
	return func(stage string, done, total int64) {
		if stage == "" {
			stage = what
		}
		s.report(prefix+stage, done, total)
	}
}

// phase is next for one pass over n requests.
func (s *steps) phase(name string, profile bool, n int) index.Progress {
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
	return s.next(fmt.Sprintf("%s requests, %s the profiler", name, how), roughly(time.Duration(n)*time.Second/time.Duration(rate)))
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
