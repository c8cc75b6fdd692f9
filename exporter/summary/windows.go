package summary

import (
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// Window is what happened in one of the equal parts of the time.
type Window struct {
	From   time.Duration `json:"from_ns"` // since the start of the profile
	To     time.Duration `json:"to_ns"`
	Faults uint64        `json:"faults"`
	New    int64         `json:"touched_bytes"` // distinct memory that no window before had
	Total  int64         `json:"touched_total_bytes"`
	Stall  time.Duration `json:"stall_ns"`
	// Waiting is the mean number of threads that waited: the stall by the time of the window.
	Waiting float64 `json:"threads_waiting"`
}

// Windows divides the time from the first fault of the log to the last into n equal parts. It is nil where the
// log is empty.
func Windows(s *profiler.Snapshot, n int) []Window {
	if len(s.Faults) == 0 || n < 1 {
		return nil
	}
	// In claim order, and so nearly in that of time.
	first, last := s.Faults[0].Time, s.Faults[0].Time
	for _, f := range s.Faults {
		first, last = min(first, f.Time), max(last, f.Time+f.Stall)
	}
	width := max((last-first)/time.Duration(n)+1, 1)
	out := make([]Window, n)
	for i := range out {
		out[i].From = first - s.StartMono + time.Duration(i)*width
		out[i].To = out[i].From + width
	}
	type place struct {
		region  profiler.RegionID
		granule int64
	}
	seen := make(map[place]struct{}, len(s.Faults))
	for _, f := range s.Faults {
		w := &out[int((f.Time-first)/width)]
		w.Faults++
		w.Stall += f.Stall
		r := s.RegionOf(f.Region)
		at := place{f.Region, f.Offset / int64(r.Granule)}
		if _, ok := seen[at]; !ok {
			seen[at] = struct{}{}
			w.New += r.GranuleBytes(f.Offset)
		}
	}
	total := int64(0)
	for i := range out {
		total += out[i].New
		out[i].Total = total
		out[i].Waiting = float64(out[i].Stall) / float64(width)
	}
	return slices.Clip(out)
}
