package findings

import (
	"fmt"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

// The floor of amplified: so much was touched that came from the disk, and so many times as much was read.
const (
	amplifiedBytes = 8 * mib
	amplifiedTimes = 4
)

// amplified says that storage reads much more than is used. What read(2) and others read is in it, so that it is no proof.
func amplified(x in) *summary.Finding {
	touched := summary.DiskTouched(x.r.Snapshot)
	read, ok := x.Figure("device_reads_bytes")
	if !ok || touched < amplifiedBytes || read < amplifiedTimes*touched || !x.sound() {
		return nil
	}
	return &summary.Finding{Rule: "amplified", Weight: 2,
		Text: fmt.Sprintf("The process had %s read from devices, and touched %s that came from the disk: %.1f bytes for one that is used. It counts what read(2) asked for, too.",
			summary.Bytes(read), summary.Bytes(touched), float64(read)/float64(touched)),
		Evidence: "device reads in the memory of the process below",
		Try:      "MADV_RANDOM on what is read here and there: read-ahead brings neighbours that nobody needs"}
}
