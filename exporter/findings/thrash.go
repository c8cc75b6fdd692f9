package findings

import (
	"fmt"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/profiler"
)

// thrashWindows is in how many of the last windows a region has to be thrashing; each has a floor of its own, see profiler.Phase.
const thrashWindows = 3

// thrash says that memory which is in use is taken away, and read again.
func thrash(x in) *summary.Finding {
	var found *summary.Finding
	worst := int64(0)
	for i := range x.WorkingSets {
		ws := &x.WorkingSets[i]
		n, again, touched, last := 0, int64(0), int64(0), 0
		for j := len(ws.Windows) - 1; j >= 0 && last < 2*thrashWindows; j-- {
			w := &ws.Windows[j]
			if w.Error != "" {
				continue
			}
			last++
			if w.Phase == profiler.PhaseThrashing {
				n++
			}
			again, touched = again+int64(w.Reread), touched+int64(w.Touched)
		}
		if n < thrashWindows || again <= worst {
			continue
		}
		worst = again
		found = &summary.Finding{Rule: "thrash", Weight: 5,
			Text: fmt.Sprintf("%s is read again and again: in the last %d windows %s of what was used there (%s of %s) had been in memory before, and came from the disk again.",
				ws.Label, last, summary.Percent(summary.Ratio(again, touched)), summary.Bytes(again), summary.Bytes(touched)),
			Evidence: "disk again in the working sets below, and the miss ratio by the size of the cache",
			Try:      "more memory for the process (a higher cgroup limit), or less that is in use at once: the miss ratios say how much is enough"}
	}
	return found
}
