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
	// Blocked is for how long all Ps stood in page faults while the span was open and none of its own faults was among them: time that it lost to
	// others, if it had anything to do meanwhile. A lower bound, see Blocked. Span.End tells it; it is 0 in a Snapshot.
	Blocked time.Duration
	Regions []RegionID // at most 8, in order of first touch
	// Unsampled: its trace is not kept, so nothing should link to it; see Span.MarkUnsampled.
	Unsampled bool
}
