package profiler

import (
	"fmt"
	"strconv"
	"strings"
)

// WithBudget bounds what the profiler may cost: a share of one processor's time such as "1%", or first touches a second such as "500/s".
// Where more would be spent, stacks become rare, then a sample of each region's memory is observed in place of all of it, and at last
// observation pauses. All of it comes back when there is less to do: for that, regions whose memory cannot tell what was touched
// meanwhile are armed again after ten seconds, unless windows arm them sooner. Stats.Budget says what was done. The default, "off",
// observes everything. With DeliveryObserve there is nothing to leave out, which a note says.
func WithBudget(limit string) Option {
	return optionFunc(func(c *config) (err error) { c.budget, err = parseCostLimit(limit); return err })
}

// costLimit is what the profiler may cost; zero is no limit. One of the two is set.
type costLimit struct {
	share  float64 // of one processor's time
	faults float64 // first touches a second
}

func parseCostLimit(v string) (l costLimit, err error) {
	if v == "off" {
		return l, nil
	}
	digits, percent := strings.CutSuffix(v, "%")
	digits, perSecond := strings.CutSuffix(digits, "/s")
	n, err := strconv.ParseFloat(digits, 64)
	switch {
	case err != nil || percent == perSecond || !(n > 0 && n <= 1e9) || percent && n > 100:
		return l, fmt.Errorf("%w: budget %q: write N%% of one processor's time above 0 and at most 100, N/s for first touches a second, or off", ErrInvalid, v)
	case percent:
		l.share = n / 100
	default:
		l.faults = n
	}
	return l, nil
}
