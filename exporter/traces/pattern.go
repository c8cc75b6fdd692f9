package traces

import (
	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
)

// pattern says how the offsets of a run follow one another, and by how many bytes where they are
// strided. A step that at least three in four share makes the pattern, so that a scan which finds
// some granules open already is still seen as one.
func pattern(faults []profiler.Fault, granule int64) (name string, stride int64) {
	if len(faults) == 1 {
		return exporter.PatternSingle, 0
	}
	steps := make(map[int64]int)
	var most int64
	for i := 1; i < len(faults); i++ {
		d := faults[i].Offset/granule - faults[i-1].Offset/granule
		if steps[d]++; steps[d] > steps[most] {
			most = d
		}
	}
	n := len(faults) - 1
	switch {
	case 4*steps[most] < 3*n:
		return exporter.PatternRandom, 0
	case most == 1:
		return exporter.PatternSequential, 0
	case most != 0 && n > 1: // one step alone makes no stride
		return exporter.PatternStrided, most * granule
	}
	return exporter.PatternRandom, 0
}
