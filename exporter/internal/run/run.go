// Package run says which first touches belong together: those of one goroutine in one region without
// a long pause. Spans and metrics have to agree on it.
package run

import (
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// Gap is a pause that ends a run: from when the goroutine could go on until it faulted again.
const Gap = time.Millisecond

// Key tells runs apart that go on at the same time; the thread only where the goroutine is not known.
type Key struct {
	goroutine uint64
	thread    int32
	region    profiler.RegionID
}

// KeyOf returns the key of the run that a fault belongs to.
func KeyOf(f profiler.Fault) Key {
	k := Key{goroutine: f.Goroutine, region: f.Region}
	if f.Goroutine == 0 {
		k.thread = f.Thread
	}
	return k
}
