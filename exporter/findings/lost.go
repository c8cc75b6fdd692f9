package findings

import (
	"fmt"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

// lostFrom is the part of the first touches whose records were lost, from which on nothing else is said of shares.
const lostFrom = 0.02

// lost says that records were lost: all other figures are too small.
func lost(x in) *summary.Finding {
	part := summary.Ratio(int64(x.Engine.Dropped), int64(x.Engine.Faults))
	if part <= lostFrom {
		return nil
	}
	return &summary.Finding{Rule: "lost", Weight: 10,
		Text:     fmt.Sprintf("%s of %s first touches (%s) left no record, since the ring was full: all figures but that count are too small.", summary.Count(x.Engine.Dropped), summary.Count(x.Engine.Faults), summary.Percent(part)),
		Evidence: "the line of records under Trust and cost",
		Try:      "more room between the engine and the totals (agent.WithRing), or a budget (FIRSTTOUCH_BUDGET=1%)"}
}
