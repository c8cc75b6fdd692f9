package agent

import (
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// The fuse takes the profiler off where it does the service harm.
const (
	fuseTick = 100 * time.Millisecond
	// Of the last minute, the service's threads may be stopped for this share: 600 ms. A process that is younger has the
	// same 600 ms, so that a start at which much is attached does not count as more than it is.
	fuseWindow = time.Minute
	fuseShare  = 0.01
)

// fuse watches the profiler. It is not safe for concurrent use.
type fuse struct {
	history []stopped // once a second, of fuseWindow; the first one may be older
}

// stopped is for how long threads had been stopped in all at a time.
type stopped struct {
	at    time.Time
	total time.Duration
}

// look returns why the profiler has to be taken off, or "".
func (f *fuse) look(now time.Time, h profiler.Health) string {
	if h.Broken != nil {
		return h.Broken.Error()
	}
	if n := len(f.history); n == 0 || now.Sub(f.history[n-1].at) >= time.Second {
		f.history = append(f.history, stopped{now, h.Stopped})
	}
	for len(f.history) > 1 && now.Sub(f.history[1].at) >= fuseWindow {
		f.history = f.history[1:]
	}
	lately := h.Stopped - f.history[0].total
	if limit := time.Duration(fuseShare * float64(fuseWindow)); lately > limit {
		return fmt.Sprintf("the service's threads were stopped for %v within %v, more than %v%% of the time that it watches, %v: "+
			"longer windows (FIRSTTOUCH_WINDOWS), fewer files, or guards of their owners (WithGuard) stop them less",
			lately.Round(time.Millisecond), now.Sub(f.history[0].at).Round(time.Second), 100*fuseShare, fuseWindow)
	}
	return ""
}

// startFuse has the profiler watched until it is taken off or the agent ends.
func (a *Agent) startFuse() {
	f := &fuse{history: []stopped{{at: time.Now()}}}
	a.leaving.Go(func() {
		tick := time.NewTicker(fuseTick)
		defer tick.Stop()
		for {
			select {
			case <-a.stop.Done():
				return
			case <-a.offCh:
				return
			case now := <-tick.C:
				if why := f.look(now, a.prof.Health()); why != "" {
					a.takeOff("by its fuse: " + why)
					return
				}
			}
		}
	})
}
