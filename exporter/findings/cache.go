package findings

import (
	"fmt"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

// The floor of cache: so many windows, a step of the miss ratio of so much from one size to its double, and a standard error that is
// smaller than half of it. Below so many bytes nobody chooses a size.
const (
	cacheWindows = 3
	cacheStep    = 0.2
	cacheLeast   = 8 * mib
)

// cache says where the miss ratio falls most, which is the size that decides.
func cache(x in) *summary.Finding {
	var found *summary.Finding
	most := cacheStep
	for i := range x.WorkingSets {
		ws := &x.WorkingSets[i]
		known := 0
		for j := range ws.Windows {
			if ws.Windows[j].Error == "" {
				known++
			}
		}
		for j := 1; j < len(ws.Misses) && known >= cacheWindows; j++ {
			a, b := ws.Misses[j-1], ws.Misses[j]
			if step := a.Miss - b.Miss; b.Bytes >= cacheLeast && step > most && step > 2*(a.Error+b.Error) {
				most = step
				found = &summary.Finding{Rule: "cache", Weight: 1 + step/2,
					Text: fmt.Sprintf("For %s a cache of %s misses %s of the first touches per window, one of %s %s.",
						ws.Label, summary.Bytes(b.Bytes), percentError(b), summary.Bytes(a.Bytes), percentError(a)),
					Evidence: "the miss ratio by the size of the cache below; on the page, Working set",
					Try:      fmt.Sprintf("give it %s, or less than %s: what is between costs memory and saves little", summary.Bytes(b.Bytes), summary.Bytes(a.Bytes))}
			}
		}
	}
	return found
}

func percentError(p summary.MissPoint) string {
	if p.Error == 0 {
		return summary.Percent(p.Miss)
	}
	return summary.Percent(p.Miss) + " ± " + summary.Percent(p.Error)
}
