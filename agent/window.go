package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// A window is what was touched in some seconds from now: its regions are armed again at its start,
// so that what was touched before counts anew.
const (
	maxWindow = 5 * time.Minute
)

var (
	errWindowBusy = errors.New("another window is being recorded")
	errStopped    = errors.New("the agent was shut down")
)

// window is the result: what happened, and what could not be armed again, so that it shows only
// what had never been touched before.
type window struct {
	*profiler.Snapshot
	limits []string
}

func (w *window) limit(region string, err error) {
	w.limits = append(w.limits, fmt.Sprintf("region %q was not armed again at the start of the window, "+
		"so only what had not been touched before shows: %v", region, err))
}

// record waits for d and returns what happened in it. It fails at once when another recording is
// going on, and early when ctx or the agent ends.
func (a *Agent) record(ctx context.Context, d time.Duration) (*window, error) {
	select {
	case a.window <- struct{}{}:
		defer func() { <-a.window }()
	default:
		return nil, errWindowBusy
	}
	if !a.observes() {
		return nil, a.refused("a window")
	}
	w := &window{}
	// Before arming, not after: what is touched while the other regions are being armed belongs to
	// the window, and would not fault again in it.
	before := a.prof.Snapshot()
	ours := make(map[profiler.RegionID]bool)
	owned := a.owned()
	for i, err := range a.prof.Rearm(owned...) {
		ours[owned[i].ID()] = true
		if err != nil && !errors.Is(err, profiler.ErrClosed) {
			w.limit(owned[i].Name(), err)
		}
	}
	for _, r := range before.Regions {
		if !ours[r.ID] && !r.Detached {
			w.limit(r.Name, errors.New("it was registered with the profiler and not with the agent"))
		}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-a.stop.Done():
		return nil, errStopped
	case <-a.offCh:
		return nil, a.refused("the rest of the window")
	}
	w.Snapshot = a.prof.Snapshot().Sub(before)
	if w.Stats.LogCut > 0 {
		w.limits = append(w.limits, fmt.Sprintf("%d first touches did not fit into the log (agent.WithLogLimit): "+
			"faults and stalls are exact, touched is a lower bound", w.Stats.LogCut))
	}
	return w, nil
}
