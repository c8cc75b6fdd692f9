//go:build !linux

package doctor

import "github.com/firsttouch/firsttouch/profiler"

// Try reports that there is nothing to try here.
func Try(string) Trial {
	t := Trial{Steps: []Step{}}
	if _, err := profiler.New(); err != nil {
		t.Reason = err.Error()
		t.Steps = append(t.Steps, Step{Name: StepStart, Error: err.Error()})
	}
	return t
}
