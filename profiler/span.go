package profiler

import "time"

// SpanStats is what a span's goroutines waited for. A fault counts on the innermost span only.
type SpanStats struct {
	TraceID [16]byte
	SpanID  [8]byte
	Faults  uint64
	Stall   time.Duration
	Max     time.Duration // longest single stall
	Bytes   uint64        // granule bytes made accessible
	Regions []RegionID    // at most 8, in order of first touch
	// Unexported: its trace is not kept, so nothing should link to it; see Span.Unexported.
	Unexported bool
}
