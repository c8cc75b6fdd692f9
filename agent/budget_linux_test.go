//go:build linux && (amd64 || arm64)

package agent

import (
	"cmp"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// storm is a service that touches far more than a budget allows.
type storm struct {
	agent   *Agent
	log     []moment // before and after each burst of touches
	touched int
}

// moment is how much had been touched, and what the profiler had cost, at a time.
type moment struct {
	at      time.Duration // CLOCK_MONOTONIC
	touched int
	cost    time.Duration
}

// newStorm touches so many of an arena's pages a second. It discards them whenever three quarters were touched, which
// are others each time: were all touched equally often, a sample could not tell its error from how they differ.
func newStorm(t *testing.T, limit string, rate float64, length time.Duration) *storm {
	t.Helper()
	const pages = 4096
	s := &storm{agent: start(t, WithBudget(limit))}
	arena, err := s.agent.Arena("cache", pages*os.Getpagesize())
	if err != nil {
		t.Fatal(err)
	}
	mem, next := arena.Bytes(), 0
	rnd := rand.New(rand.NewPCG(7, 5))
	order := rnd.Perm(pages)
	s.note()
	for begin := time.Now(); time.Since(begin) < length; time.Sleep(time.Millisecond) {
		s.note()
		for due := int(rate * time.Since(begin).Seconds()); s.touched < due; s.touched++ {
			mem[order[next]*os.Getpagesize()] = 1
			if next++; next == pages*3/4 {
				next, order = 0, rnd.Perm(pages)
				if err := unix.Madvise(mem, unix.MADV_DONTNEED); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.note()
	}
	return s
}

func (s *storm) note() {
	s.log = append(s.log, moment{profiler.Monotonic(), s.touched, s.agent.Profiler().Cost().Total()})
}

// at is the first moment that is not before a time.
func (s *storm) at(mono time.Duration) moment {
	i, _ := slices.BinarySearchFunc(s.log, mono, func(m moment, mono time.Duration) int { return cmp.Compare(m.at, mono) })
	return s.log[min(i, len(s.log)-1)]
}

// known is how many touches were made while anything was observed: those of bursts in which a pause began or ended may
// have been, or not.
func (s *storm) known(steps []profiler.SamplingStep) (least, most int) {
	for i, m := range s.log[1:] {
		before := s.log[i]
		n := m.touched - before.touched
		observed := len(steps) == 0 || steps[0].Since > before.at // before the first step all is
		paused := false
		for k, step := range steps {
			if step.Since > m.at || k+1 < len(steps) && steps[k+1].Since <= before.at {
				continue
			}
			observed = observed || step.Sampled > 0
			paused = paused || step.Sampled == 0
		}
		if observed {
			most += n
		}
		if !paused {
			least += n
		}
	}
	return least, most
}

// checkEstimate holds the estimate against what was touched: it may be off by five of the errors that it states, and by
// a touch for each change of the share, in whose course that touch was.
func (s *storm) checkEstimate(t *testing.T, shot *profiler.Snapshot) {
	t.Helper()
	r := shot.Region("cache")
	least, most := s.known(r.Sampling)
	e := r.Estimate
	slack := 5*e.FaultsError + float64(len(r.Sampling)) + float64(shot.Stats.Dropped)
	t.Logf("estimated %.0f ± %.0f first touches in %d steps; made while anything was observed: %d to %d, of %d; seen %d",
		e.Faults, e.FaultsError, len(r.Sampling), least, most, s.touched, r.Faults)
	if e.Faults < float64(least)-slack || e.Faults > float64(most)+slack {
		t.Errorf("the estimate is off by more than %.0f", slack)
	}
	if e.FaultsError == 0 {
		t.Error("no error was stated")
	}
}

// A service that touches far more than the budget allows is observed in part: the number of first touches that
// are seen is kept, what is left out is said, and the estimate holds.
func TestBudgetIsKept(t *testing.T) {
	const budget = 200
	load := newStorm(t, "200/s", 10000, 5*time.Second)
	a := load.agent
	s := a.Profiler().Snapshot()
	r := s.Region("cache")
	if len(r.Sampling) == 0 || r.Share() > 0.2 {
		t.Fatalf("%d of %d touches seen, in steps %+v", r.Faults, load.touched, r.Sampling)
	}
	// Before the first cut everything is seen: for how long depends on when the agent gets to look.
	cut := r.Sampling[0].Since
	seen, covered := 0.0, (s.EndMono - cut).Seconds()
	for _, f := range s.Faults {
		if f.Time > cut {
			seen++
		}
	}
	if allowed := 1.5*budget*covered + 2*budget; seen > allowed {
		t.Errorf("%.0f of %d touches were seen in the %.1f s from the first cut on, allowed are %.0f", seen, load.touched, covered, allowed)
	}
	b := s.Stats.Budget
	if b.Cuts == 0 || b.Limit != "200 first touches a second" || !strings.Contains(b.State, "since") || b.Changed.IsZero() {
		t.Errorf("%+v", b)
	}
	if n := strings.Join(a.Notes(), "\n"); !strings.Contains(n, "budget of 200 first touches a second") {
		t.Errorf("notes %q", n)
	}
	load.checkEstimate(t, s)
}

// A budget of 1% of a processor bounds the processor time of the engine's threads and of those that touch. Without it
// this load would take more than 4% for the latter alone.
func TestBudgetOfProcessorTimeIsKept(t *testing.T) {
	const share, length = 0.01, 8 * time.Second
	load := newStorm(t, "1%", 10000, length)
	p := load.agent.Profiler()
	s := p.Snapshot()
	r := s.Region("cache")
	if len(r.Sampling) == 0 || s.Stats.Budget.Cuts == 0 || s.Stats.Budget.Limit != "1% of a processor" {
		t.Fatalf("%d touches, steps %+v, budget %+v", load.touched, r.Sampling, s.Stats.Budget)
	}
	first, last := load.log[0], load.log[len(load.log)-1]
	cost := (last.cost - first.cost).Seconds()
	// The account starts with what two seconds allow. What was spent until the agent got to look that was not
	// in it depends on when that was, and comes on top.
	allow := func(m moment, factor float64) float64 { return share * (factor*(m.at-first.at).Seconds() + 2) }
	cut := load.at(r.Sampling[0].Since)
	late := max((cut.cost-first.cost).Seconds()-allow(cut, 1), 0)
	allowed := allow(last, 1.5) + late
	t.Logf("%.1f ms of processor time in %v, allowed %.1f, of which %.1f are for the first cut after %v", 1e3*cost, last.at-first.at, 1e3*allowed, 1e3*late, cut.at-first.at)
	if cut.at-first.at > length/2 {
		t.Error("the first cut came too late to tell anything")
	}
	if cost > allowed {
		t.Errorf("too much was spent: %+v, steps %+v", p.Cost(), r.Sampling)
	}
	load.checkEstimate(t, s)
}
