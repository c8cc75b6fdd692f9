package findings

import (
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

// The floor of wait: so many requests with first touches, which waited so long, and such a part of their time.
const (
	waitRequests = 10
	waitStall    = 10 * time.Millisecond
	waitPart     = 0.05
)

// wait says how much of their time requests waited for memory that was touched first.
func wait(x in) *summary.Finding {
	q := x.Requests
	part := summary.Ratio(int64(q.Stall), int64(q.Duration))
	if q.WithFaults < waitRequests || q.Stall < waitStall || part < waitPart || !x.sound() {
		return nil
	}
	text := fmt.Sprintf("%s of %s requests met pages that nobody had touched yet, and waited %s of their time for them (%s in all, the sum over their goroutines).",
		summary.Count(q.WithFaults), summary.Count(q.Count), summary.Percent(part), summary.Duration(q.Stall))
	return &summary.Finding{Rule: "wait", Weight: 3 + min(part, 1), Text: text,
		Evidence: "the slowest requests below; on the page, Requests",
		Try:      "touch or read ahead before requests come what they touch first: firsttouch prefetch recording.ftr -out app.touch"}
}
