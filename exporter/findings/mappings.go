package findings

import (
	"fmt"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

// mappingsPart is the part of vm.max_map_count from which on it is said.
const mappingsPart = 0.8

// mappings says that the process is near the number of mappings that it may have: the next mmap(2) fails with memory to spare.
func mappings(x in) *summary.Finding {
	n, ok := x.Figure("mappings")
	limit, known := x.Figure("mappings_limit")
	if part := summary.Ratio(n, limit); ok && known && part >= mappingsPart {
		return &summary.Finding{Rule: "mappings", Weight: 6,
			Text:     fmt.Sprintf("The process has %s of the %s mappings that it may have (%s): when they run out, mmap answers ENOMEM, whatever memory is free.", summary.Count(n), summary.Count(limit), summary.Percent(part)),
			Evidence: "the memory of the process below; /proc/PID/maps",
			Try:      "a higher vm.max_map_count (sysctl), or fewer and larger files"}
	}
	return nil
}
