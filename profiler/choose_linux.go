//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
)

// choice is a way that DeliveryAuto may take: it is taken where nothing above it can be had.
type choice struct {
	delivery Delivery
	failing  bool // it may let system calls fail, so it is taken only where that is allowed
}

// choices are the ways, best first.
var choices = []choice{
	{DeliveryThread, false},
	{DeliveryThread, true},
	{DeliverySignal, true},
	{DeliveryObserve, false},
}

// newBest is New with DeliveryAuto.
func newBest(c config) (*Profiler, error) {
	var errs, reasons []error
	allowed := c.failing
	for i, way := range choices {
		if way.failing && !allowed {
			continue
		}
		// To allow it more helps the same way only where that was all it lacked.
		if i > 0 && way.delivery == choices[i-1].delivery && !errors.Is(errs[len(errs)-1], ErrUserModeOnly) {
			continue
		}
		c.delivery, c.failing = way.delivery, way.failing
		p, err := start(c)
		if err == nil {
			if len(reasons) > 0 {
				p.note("chosen by itself: %s, since a better way cannot be had: %v", p.agg.stats.Observed(), errors.Join(reasons...))
			}
			return p, nil
		}
		if !errors.Is(err, ErrNotSupported) {
			return nil, err
		}
		errs = append(errs, err)
		reasons = append(reasons, fmt.Errorf("by %s: %w", way.delivery, err))
	}
	if errors.Is(errs[0], ErrUserModeOnly) {
		return nil, fmt.Errorf("%w. Nor can it be observed without arming anything: %w", errs[0], errs[len(errs)-1])
	}
	if !allowed {
		reasons = append(reasons, errors.New("delivery by signal needs neither, nor any privilege, and is not taken by itself, since "+failing+
			": allow it where the service can "+copyFirst+" first: WithFailingSystemCalls, or FIRSTTOUCH_ALLOW_FAILING_SYSTEM_CALLS=true"))
	}
	return nil, errors.Join(reasons...)
}
