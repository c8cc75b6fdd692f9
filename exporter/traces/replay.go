package traces

import (
	"runtime"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/attribute"
)

// Burst is what a page_fault.burst span shows, on CLOCK_MONOTONIC.
type Burst struct {
	Start, End time.Duration
	Attributes []attribute.KeyValue
}

// Bursts returns the bursts of a span of a snapshot, which had these faults, in claim order: those that a
// Processor would have made of it. It is for spans that were recorded without them.
func Bursts(s *profiler.Snapshot, faults []profiler.Fault) (out []Burst) {
	p := &Processor{src: replayed{s}}
	for _, b := range bursts(faults, 0) {
		out = append(out, Burst{b.start, b.end, p.describe(&b)})
	}
	return out
}

// replayed is a snapshot as the source of names.
type replayed struct{ s *profiler.Snapshot }

func (r replayed) StartSpan([16]byte, [8]byte) *profiler.Span { return nil }
func (r replayed) Frames(id profiler.StackID) []runtime.Frame { return r.s.Frames(id) }
func (r replayed) RegionName(id profiler.RegionID) string     { return r.s.RegionOf(id).Name }
func (r replayed) Granule(id profiler.RegionID) int           { return r.s.RegionOf(id).Granule }
