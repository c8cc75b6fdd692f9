//go:build !linux

package pace

import "time"

// processorTime is not known: nothing is profiled here.
func processorTime() (time.Duration, bool) { return 0, false }
