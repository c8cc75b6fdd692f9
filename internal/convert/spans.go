package convert

import (
	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/profiler"
)

// spanKey tells spans apart.
type spanKey struct {
	trace [16]byte
	span  [8]byte
}

// faultsBySpan divides the log by the span that the faults count for: their places in it.
func faultsBySpan(r *recording.Recording) map[spanKey][]int32 {
	of := make(map[spanKey][]int32)
	for i := range r.Snapshot.Faults {
		if s, ok := r.Snapshot.Span(r.Snapshot.Faults[i].Span); ok {
			k := spanKey{s.TraceID, s.SpanID}
			of[k] = append(of[k], int32(i))
		}
	}
	return of
}

// faultsAt are the faults at places in the log.
func faultsAt(s *profiler.Snapshot, at []int32) []profiler.Fault {
	out := make([]profiler.Fault, len(at))
	for i, n := range at {
		out[i] = s.Faults[n]
	}
	return out
}
