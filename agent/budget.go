package agent

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/firsttouch/firsttouch/profiler/budget"
)

// limit is what the profiler may cost; zero is no limit. One of the two is set.
type limit struct {
	share  float64 // of one processor's time
	faults float64 // first touches a second
}

func (c *config) parseBudget(v string) error {
	bad := fmt.Errorf("%w: write N%% of one processor's time above 0 and at most 100, N/s for first touches a second, or off", profiler.ErrInvalid)
	c.budget = limit{}
	if v == "off" {
		return nil
	}
	digits, percent := strings.CutSuffix(v, "%")
	digits, perSecond := strings.CutSuffix(digits, "/s")
	n, err := strconv.ParseFloat(digits, 64)
	switch {
	case err != nil || percent == perSecond || !(n > 0 && n <= 1e9) || percent && n > 100:
		return bad
	case percent:
		c.budget.share = n / 100
	default:
		c.budget.faults = n
	}
	return nil
}

func (l limit) String() string {
	if l.faults > 0 {
		return fmt.Sprintf("%g first touches a second", l.faults)
	}
	return fmt.Sprintf("%g%% of a processor", 100*l.share)
}

// rate is the limit in the units of spent.
func (l limit) rate() float64 { return l.faults + l.share }

// spent is what counts against the limit: processor seconds, or first touches.
func (l limit) spent(c profiler.Cost) float64 {
	if l.faults > 0 {
		return float64(c.Faults)
	}
	return c.Total().Seconds()
}

// cheapStacks is how many stacks a second take a tenth of the budget, at ten microseconds a stack.
func (l limit) cheapStacks() int { return max(int(l.share/10/10e-6), 1) }

const (
	budgetTick  = 100 * time.Millisecond
	budgetNews  = time.Second      // how often the snapshot learns what was spent
	budgetRearm = 10 * time.Second // how long a higher share waits for somebody else to arm the regions
	budgetOver  = 10 * time.Second // that "lately" means
)

// spent is what had been spent at a time.
type spent struct {
	at     time.Time
	amount float64
}

// keeper keeps the profiler within its budget: it measures, asks the controller, and does what that says.
type keeper struct {
	p       *profiler.Profiler
	limit   limit
	stacks  [2]profiler.StackSampling // as configured, and when they are to be rare
	regions func() []*profiler.Region
	control *budget.Controller
	begun   time.Time

	stop chan struct{}
	done sync.WaitGroup

	unfinished bool      // the last change could not be made everywhere
	waiting    time.Time // since when a higher share waits for regions to be armed; zero is not
	history    []spent   // once in budgetNews, for budgetOver
	paused     time.Time

	mu    sync.Mutex // guards what follows
	state profiler.Budget
}

func newKeeper(p *profiler.Profiler, l limit, stacks profiler.StackSampling, regions func() []*profiler.Region) *keeper {
	k := &keeper{p: p, limit: l, regions: regions, begun: time.Now(), stop: make(chan struct{})}
	k.stacks = [2]profiler.StackSampling{stacks, stacks.AtMost(l.cheapStacks())}
	before := l.spent(p.Cost())
	k.control = budget.New(l.rate(), l.share > 0 && k.stacks[0] != k.stacks[1], 0, before)
	k.history = []spent{{k.begun, before}}
	k.state = profiler.Budget{Limit: l.String(), Share: 1, State: "everything is observed"}
	return k
}

func (k *keeper) start() {
	k.p.SetBudget(k.state)
	k.done.Go(func() {
		tick := time.NewTicker(budgetTick)
		defer tick.Stop()
		for news := time.Now(); ; {
			select {
			case <-k.stop:
				return
			case now := <-tick.C:
				k.look()
				if now.Sub(news) >= budgetNews {
					news = now
					k.history = append(k.history, spent{now, k.limit.spent(k.p.Cost())})
					for now.Sub(k.history[0].at) > budgetOver {
						k.history = k.history[1:]
					}
					k.report()
				}
			}
		}
	})
}

func (k *keeper) join() {
	close(k.stop)
	k.done.Wait()
}

// now is the time on the controller's clock.
func (k *keeper) now() time.Duration { return time.Since(k.begun) }

// look asks the controller, and makes what it says so.
func (k *keeper) look() {
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
		k.p.SetStacks(s)
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
	k.changed(before, share)
	k.report()
}

// observe sets the share. ErrBusy is tried again at the next look.
func (k *keeper) observe() {
	err := k.p.SetSampling(k.control.Share())
	k.unfinished = errors.Is(err, profiler.ErrBusy)
}

// rearm arms those regions that are to be observed more than they are. Who makes windows arms them anyway, and
// sooner.
func (k *keeper) rearm() {
	k.waiting = time.Time{}
	less := slices.DeleteFunc(slices.Clone(k.regions()), func(r *profiler.Region) bool {
		share, wanted := r.Observed()
		return share >= wanted
	})
	if errors.Is(errors.Join(k.p.Rearm(less...)...), profiler.ErrBusy) {
		k.waiting = time.Now().Add(budgetTick - budgetRearm)
	}
}

func (k *keeper) changed(before, share float64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := &k.state
	switch {
	case share < before:
		s.Cuts++
	case share > before:
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
func (k *keeper) report() {
	c := k.p.Cost()
	first := k.history[0]
	lately := (k.limit.spent(c) - first.amount) / max(time.Since(first.at), budgetTick).Seconds()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.state.Cost = c.Total()
	k.state.Spent = fmt.Sprintf("%.2g%% of a processor", 100*lately)
	if k.limit.faults > 0 {
		k.state.Spent = fmt.Sprintf("%.0f first touches a second", lately)
	}
	state := k.state
	if state.Share == 0 {
		state.Paused += time.Since(k.paused)
	}
	k.p.SetBudget(state)
}

// notes say what is left out now.
func (k *keeper) notes() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.state.Cuts == 0 && k.state.Share == 1 && !strings.HasPrefix(k.state.State, "stacks") {
		return nil
	}
	return []string{fmt.Sprintf("budget of %s: %s; %d cuts, %d raises so far", k.state.Limit, k.state.State, k.state.Cuts, k.state.Raises)}
}
