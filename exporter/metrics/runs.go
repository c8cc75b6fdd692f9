package metrics

import (
	"time"

	"github.com/firsttouch/firsttouch/exporter/internal/run"
	"github.com/firsttouch/firsttouch/profiler"
)

// maxRuns bounds the runs that go on at once. Each is a goroutine that faulted in the last millisecond,
// so beyond it the ones that are over are counted first, and if there are none, all.
const maxRuns = 4096

// runs counts the faults of each run, and hands a run on when it is over.
type runs struct {
	over func(region profiler.RegionID, faults int64)
	open map[run.Key]*openRun
}

type openRun struct {
	region profiler.RegionID
	faults int64
	end    time.Duration // of its last stall
}

func newRuns(over func(profiler.RegionID, int64)) *runs {
	return &runs{over: over, open: make(map[run.Key]*openRun)}
}

// add takes the next fault in claim order.
func (r *runs) add(f *profiler.Fault) {
	k := run.KeyOf(*f)
	o := r.open[k]
	if o != nil && f.Time-o.end >= run.Gap {
		r.close(k, o)
		o = nil
	}
	if o == nil {
		if len(r.open) >= maxRuns {
			r.closeBefore(f.Time)
		}
		if len(r.open) >= maxRuns {
			r.closeAll()
		}
		o = &openRun{region: f.Region}
		r.open[k] = o
	}
	o.faults++
	o.end = max(o.end, f.Time+f.Stall)
}

// closeBefore counts the runs that no fault from now on can belong to.
func (r *runs) closeBefore(now time.Duration) {
	for k, o := range r.open {
		if now-o.end >= run.Gap {
			r.close(k, o)
		}
	}
}

func (r *runs) closeAll() {
	for k, o := range r.open {
		r.close(k, o)
	}
}

func (r *runs) close(k run.Key, o *openRun) {
	delete(r.open, k)
	r.over(o.region, o.faults)
}
