// Package budget decides how much a profiler may observe so that it costs no more than a budget. It knows
// nothing of how that is done or measured: whoever asks it tells it what was spent, and does what it says.
//
// The account gets what the budget allows, pays what was spent, and holds at most what two seconds allow.
// When it is overdrawn, less is observed at once, in proportion to how much was spent on average since it
// was full: a storm that costs thirty times the budget is cut to a thirtieth by the first look. What it
// owes is paid before more is observed again. When it is full and less than half of the budget was
// spent for some seconds, twice as much is observed; when that is cut again soon, the next time it takes
// twice as long. Where observing the least still costs too much, observation pauses until the debt is paid.
//
// Extras, such as stacks, go before anything is left unobserved, and come back last.
package budget

import "time"

const (
	burst     = 2 * time.Second  // that the account holds
	debtMost  = 10 * time.Second // that it can owe, so that recovery is not delayed for ever
	again     = 250 * time.Millisecond
	aim       = 0.8 // of the budget, after a cut
	idle      = 0.5 // of the budget: less than it lets more be observed
	patience  = 5 * time.Second
	impatient = time.Minute // the longest patience

	// Least is the smallest share that is observed. Below it comes a pause.
	Least = 1.0 / 256
)

// Controller keeps an account. It is not safe for concurrent use.
type Controller struct {
	rate    float64 // units a second
	account float64 // units
	share   float64 // that is to be observed
	paused  bool
	extras  bool // something else can be done without
	without bool // and is

	now, full, changed time.Duration // of the last look; when the account was full, or the share was changed, last; the latter alone
	spent              float64       // at the last look
	spentFull          float64       // when the account was full, or the share was changed, last
	spentChanged       float64       // when the share was changed last
	cut                bool          // since the account was full
	patience           time.Duration
	raised             time.Duration // when the share was raised last, 0 for never
}

// New returns the account of a budget of so many units a second, full, at a time on any clock and with
// what had been spent then. extras says that there is something to do without before less is observed.
func New(rate float64, extras bool, now time.Duration, spent float64) *Controller {
	return &Controller{
		rate: rate, extras: extras, account: rate * burst.Seconds(), share: 1, patience: patience,
		now: now, full: now, changed: now, spent: spent, spentFull: spent, spentChanged: spent,
	}
}

// Share is what is to be observed, 0 in a pause.
func (c *Controller) Share() float64 {
	if c.paused {
		return 0
	}
	return c.share
}

// Without reports whether to do without the extras.
func (c *Controller) Without() bool { return c.without }

// Look takes what was spent until now, in all, and reports whether the share has to be changed. What the change
// itself costs is for Settle.
func (c *Controller) Look(now time.Duration, spent float64) (changed bool) {
	c.pay(now, spent)
	switch {
	case c.paused:
		if c.account < 0 {
			return false
		}
		c.paused = false
	case c.account < 0 && (!c.cut || c.spent-c.spentFull > c.rate*(c.now-c.full+again).Seconds()):
		c.reduce()
	case c.share < 1 && c.calm():
		c.share = min(2*c.share, 1)
		c.raised = now
	case c.without && c.share == 1 && c.calm():
		c.without = false
		c.raised = now
	default:
		return false
	}
	return true
}

// calm reports whether more can be observed.
func (c *Controller) calm() bool {
	since := c.now - c.changed
	return c.account >= c.rate*burst.Seconds() && since >= c.patience && c.spent-c.spentChanged < idle*c.rate*since.Seconds()
}

// pay brings the account up to date.
func (c *Controller) pay(now time.Duration, spent float64) {
	c.account += c.rate*(now-c.now).Seconds() - (spent - c.spent)
	c.account = max(c.account, -c.rate*debtMost.Seconds())
	c.now, c.spent = now, spent
	if most := c.rate * burst.Seconds(); c.account >= most {
		c.account, c.full, c.spentFull, c.cut = most, now, spent, false
		if c.raised != 0 && now-c.raised > 2*c.patience {
			c.patience = max(c.patience/2, patience) // the last raise has held
			c.raised = now
		}
	}
}

// reduce cuts the share, or pauses.
func (c *Controller) reduce() {
	if c.raised != 0 && c.now-c.raised < c.patience {
		c.patience = min(2*c.patience, impatient)
	}
	mean := (c.spent - c.spentFull) / max((c.now-c.full).Seconds(), 1e-3)
	if c.extras && !c.without {
		c.without = true
		if mean < 2*c.rate {
			return // that may be enough
		}
	}
	if c.share == Least {
		c.paused = true
	}
	c.share = max(c.share*min(aim*c.rate/mean, aim), Least)
}

// Settle ends a change of the share: what it cost is paid, but says nothing of the new share.
func (c *Controller) Settle(now time.Duration, spent float64) {
	before := c.account
	c.pay(now, spent)
	c.changed, c.spentChanged = now, spent
	c.full, c.spentFull = now, spent
	c.cut = c.cut || c.account < 0 || before < 0
}
