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

// faultsBySpan divides the log by the span that the faults count for.
func faultsBySpan(r *recording.Recording) map[spanKey][]profiler.Fault {
	of := make(map[spanKey][]profiler.Fault)
	for _, f := range r.Snapshot.Faults {
		if s, ok := r.Snapshot.Span(f.Span); ok {
			k := spanKey{s.TraceID, s.SpanID}
			of[k] = append(of[k], f)
		}
	}
	return of
}
