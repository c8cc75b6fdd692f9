package findings

import (
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

// The floor of blocked: all Ps stood for so long, and for such a part of the time. Fewer requests than blockedRequests are not counted out.
const (
	blockedAll      = 100 * time.Millisecond
	blockedPart     = 0.02
	blockedRequests = 10
)

// blocked says who else waited: while all Ps stand in page faults, requests that touch nothing new stand as well. The times are lower
// bounds whatever was lost, see profiler.Blocked.
func blocked(x in) *summary.Finding {
	b := x.Engine.Blocked
	part := summary.Ratio(int64(b.All), int64(x.End.Sub(x.Start)))
	if b.All < blockedAll || part < blockedPart {
		return nil
	}
	text := fmt.Sprintf("All %s Ps stood in page faults for %s at least (%s of the time), and nothing of the program ran meanwhile",
		summary.Count(uint64(b.Procs)), summary.Duration(b.All), summary.Percent(part))
	waited, known := 0, 0
	for i := range x.r.Requests {
		if q := &x.r.Requests[i]; q.Entry {
			known++
			if q.Blocked > 0 {
				waited++
			}
		}
	}
	if waited >= blockedRequests {
		text += fmt.Sprintf(": %s of the %s requests that are known one by one waited for faults of others", summary.Count(uint64(waited)), summary.Count(uint64(known)))
	}
	return &summary.Finding{Rule: "blocked", Weight: 4 + min(part, 1)/2, Text: text + ".",
		Evidence: "who else waited below, by file and code; firsttouch.request.blocked among the metrics",
		Try:      "read ahead what is touched first (firsttouch prefetch recording.ftr -out app.touch), or read it by pread(2), for which Go takes the P away; more Ps (GOMAXPROCS) let more faults wait at once"}
}
