package findings

import (
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

// The floor of unused: so much of a region, and such a part of it, was not touched in so long a time. The standard error of what was
// touched is below a tenth of what was not.
const (
	unusedBytes  = 16 * mib
	unusedPart   = 0.5
	unusedTime   = 5 * time.Second
	unusedFaults = 1000 // or after so many first touches
	unusedError  = 0.1
)

// unused says which region was mapped or made for nothing, the one with the most.
func unused(x in) *summary.Finding {
	var of *summary.Region
	for i := range x.Regions {
		r := &x.Regions[i]
		never := r.Never()
		switch {
		case never.Bytes < unusedBytes, float64(never.Bytes) < unusedPart*float64(r.Whole()), r.Past > 0, r.Ended(), r.Faults == 0:
		case x.End.Sub(x.Start) < unusedTime && r.Faults < unusedFaults:
		case float64(never.Error) > unusedError*float64(never.Bytes), r.Estimate.Paused > 0, r.Unseen > time.Second:
		case of == nil || never.Bytes > of.Never().Bytes:
			of = r
		}
	}
	if of == nil {
		return nil
	}
	return &summary.Finding{Rule: "unused", Weight: 1 - of.Share()/2,
		Text:     fmt.Sprintf("%s of the %s of %s were never touched in %s: this load does not need them in memory.", of.Never(), summary.Bytes(of.Whole()), of.Label, summary.Duration(x.End.Sub(x.Start))),
		Evidence: "the table of memory below; the strip of the region on the page",
		Try:      "plan memory by what is touched and not by the size; where the pages are in memory all the same, MADV_RANDOM or less read-ahead keeps them out"}
}
