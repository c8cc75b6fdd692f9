//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/internal/budget"
)

func (l costLimit) String() string {
	if l.faults > 0 {
		return fmt.Sprintf("%g first touches a second", l.faults)
	}
	return fmt.Sprintf("%g%% of a processor", 100*l.share)
}

// rate is the limit in the units of spent.
func (l costLimit) rate() float64 { return l.faults + l.share }

// spent is what counts against the limit: processor seconds, or first touches.
func (l costLimit) spent(c Cost) float64 {
	if l.faults > 0 {
		return float64(c.Faults)
	}
	return c.Total().Seconds()
}

// cheapStacks is how many stacks a second take a tenth of the budget, at ten microseconds a stack.
func (l costLimit) cheapStacks() int { return max(int(l.share/10/10e-6), 1) }

const (
	budgetTick  = 100 * time.Millisecond
	budgetNews  = time.Second      // how often the snapshot learns what was spent
	budgetRearm = 10 * time.Second // how long a higher share waits for somebody else to arm the regions
	budgetOver  = 10 * time.Second // that "lately" means
)

// spending is what had been spent at a time.
type spending struct {
	at     time.Time
	amount float64
}

// steward keeps the profiler within its budget: it measures, asks the controller, and does what that says. One goroutine
// runs it, which takes no lock of the profiler's while it asks.
type steward struct {
	p       *Profiler
	limit   costLimit
	stacks  [2]StackSampling // as configured, and when they are to be rare
	control *budget.Controller
	begun   time.Time

	unfinished bool       // the last change could not be made everywhere
	waiting    time.Time  // since when a higher share waits for regions to be armed; zero is not
	history    []spending // once in budgetNews, for budgetOver
	paused     time.Time
	state      Budget
}

func newSteward(p *Profiler) *steward {
	l, stacks := p.config.budget, p.config.stacks
	k := &steward{p: p, limit: l, begun: time.Now()}
	k.stacks = [2]StackSampling{stacks, stacks.AtMost(l.cheapStacks())}
	before := l.spent(p.Cost())
	k.control = budget.New(l.rate(), l.share > 0 && k.stacks[0] != k.stacks[1], 0, before)
	k.history = []spending{{k.begun, before}}
	k.state = Budget{Limit: l.String(), Share: 1, State: "everything is observed"}
	p.setBudget(k.state)
	return k
}

// keepBudget starts the steward where a budget is set.
func (p *Profiler) keepBudget() {
	switch {
	case p.config.budget == costLimit{}:
	case p.observes():
		p.note("the budget of %v is not kept: with delivery observe nothing is armed, so that there is nothing to leave out; what it costs is in the snapshot", p.config.budget)
	default:
		p.done.Go(newSteward(p).run)
	}
}

// run ends when the profiler is being closed: nothing can be changed then.
func (k *steward) run() {
	tick := time.NewTicker(budgetTick)
	defer tick.Stop()
	for news := time.Now(); ; {
		select {
		case <-k.p.stop:
			return
		case now := <-tick.C:
			if k.p.retired.Load() {
				return
			}
			k.look()
			if now.Sub(news) >= budgetNews {
				news = now
				k.history = append(k.history, spending{now, k.limit.spent(k.p.Cost())})
				for now.Sub(k.history[0].at) > budgetOver {
					k.history = k.history[1:]
				}
				k.report()
			}
		}
	}
}

// now is the time on the controller's clock.
func (k *steward) now() time.Duration { return time.Since(k.begun) }

// look asks the controller, and makes what it says so.
func (k *steward) look() {
	before, without := k.control.Share(), k.control.Without()
	if !k.control.Look(k.now(), k.limit.spent(k.p.Cost())) {
		switch {
		case k.unfinished:
			k.observe()
		case !k.waiting.IsZero() && time.Since(k.waiting) > budgetRearm:
			k.rearm()
		}
		return
	}
	if now := k.control.Without(); now != without {
		s := k.stacks[0]
		if now {
			s = k.stacks[1]
		}
		k.p.setStacks(s)
	}
	share := k.control.Share()
	if share != before {
		k.observe()
		k.waiting = time.Time{}
		if before == 0 {
			k.rearm() // nothing is observed, so nothing is lost
		} else if share > before {
			k.waiting = time.Now()
		}
	}
	k.control.Settle(k.now(), k.limit.spent(k.p.Cost()))
	k.changed(before, share, without)
	k.report()
}

// observe sets the share. ErrBusy is tried again at the next look.
func (k *steward) observe() {
	err := k.p.SetSampling(k.control.Share())
	k.unfinished = errors.Is(err, ErrBusy)
}

// rearm arms those regions that are to be observed more than they are. Who makes windows arms them anyway, and
// sooner.
func (k *steward) rearm() {
	k.waiting = time.Time{}
	less := slices.DeleteFunc(slices.Clone(k.p.openRegions()), func(r *Region) bool {
		share, wanted := r.Observed()
		return share >= wanted
	})
	if errors.Is(errors.Join(k.p.Rearm(less...)...), ErrBusy) {
		k.waiting = time.Now().Add(budgetTick - budgetRearm)
	}
}

// changed accounts for a change of the share, or of which stacks are taken.
func (k *steward) changed(before, share float64, without bool) {
	s := &k.state
	switch {
	case share < before || k.control.Without() && !without:
		s.Cuts++
	case share > before || !k.control.Without() && without:
		s.Raises++
	}
	now := time.Now()
	if before == 0 && share > 0 {
		s.Paused += now.Sub(k.paused)
	} else if share == 0 && before > 0 {
		k.paused = now
	}
	s.Share, s.Changed = share, now
	var what []string
	switch {
	case share == 0:
		what = append(what, "nothing is observed, until what was spent too much is made up for")
	case share < 1:
		what = append(what, fmt.Sprintf("%.2g%% of each region's memory is observed", 100*share))
	}
	if k.control.Without() {
		what = append(what, "stacks are taken of "+k.stacks[1].String())
	}
	s.State = "everything is observed"
	if len(what) > 0 {
		s.State = strings.Join(what, ", and ") + ", since " + now.Format(time.TimeOnly)
	}
}

// report has the next snapshots say what was spent.
func (k *steward) report() {
	c := k.p.Cost()
	first := k.history[0]
	lately := (k.limit.spent(c) - first.amount) / max(time.Since(first.at), budgetTick).Seconds()
	k.state.Cost = c.Total()
	k.state.Spent = fmt.Sprintf("%.2g%% of a processor", 100*lately)
	if k.limit.faults > 0 {
		k.state.Spent = fmt.Sprintf("%.0f first touches a second", lately)
	}
	state := k.state
	if state.Share == 0 {
		state.Paused += time.Since(k.paused)
	}
	k.p.setBudget(state)
}
