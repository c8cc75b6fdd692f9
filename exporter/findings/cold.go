package findings

import (
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/profiler"
)

// The floor of cold: so much waiting for the disk, and such a part of all.
const (
	coldStall = 100 * time.Millisecond
	coldPart  = 0.5
)

// cold says that the wait is for storage, and not for the kernel.
func cold(x in) *summary.Finding {
	var disk time.Duration
	var faults uint64
	sampled := false
	for i := range x.Regions {
		sampled = sampled || x.Regions[i].Sampled()
		for _, src := range x.Regions[i].Sources {
			if src.Name == profiler.SourceDisk.String() {
				disk, faults = disk+src.Stall.Sum, faults+src.Faults
			}
		}
	}
	var seen time.Duration
	for i := range x.Regions {
		seen += x.Regions[i].Stall.Sum
	}
	part := summary.Ratio(int64(disk), int64(seen))
	if disk < coldStall || part < coldPart || !x.sound() {
		return nil
	}
	of := ""
	if sampled {
		of = " in the part that was observed"
	}
	return &summary.Finding{Rule: "cold", Weight: 1 + min(part, 1),
		Text:     fmt.Sprintf("%s of the wait is for storage: %s first touches%s read their page from the disk, and waited %s on average.", summary.Percent(part), summary.Count(faults), of, summary.Duration(disk/time.Duration(max(faults, 1)))),
		Evidence: "the rows from disk below",
		Try:      "firsttouch prefetch recording.ftr -out app.touch, and firsttouch prefetch app.touch before the next start; the report says what that is expected to save"}
}
