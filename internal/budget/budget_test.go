package budget

import (
	"math/rand/v2"
	"testing"
	"time"
)

// service is what a controller is asked to keep: its load would cost so much a second if all were observed.
type service struct {
	now   time.Duration
	spent float64
	c     *Controller
	load  func(now time.Duration) float64
	cost  float64 // of a change
	cuts  int
	raise int
}

const tick = 100 * time.Millisecond

func (s *service) run(d time.Duration) (spent float64) {
	before := s.spent
	for end := s.now + d; s.now < end; {
		share := s.c.Share()
		s.spent += s.load(s.now) * share * tick.Seconds()
		s.now += tick
		if s.c.Look(s.now, s.spent) {
			if s.c.Share() < share {
				s.cuts++
			} else {
				s.raise++
			}
			s.spent += s.cost
			s.c.Settle(s.now, s.spent)
		}
	}
	return s.spent - before
}

func newService(rate float64, load func(time.Duration) float64) *service {
	return &service{c: New(rate, false, 0, 0), load: load}
}

// A storm that would cost thirty times the budget is kept within it from its first second on, and over 20 s
// it costs the budget within a tenth; nothing oscillates.
func TestStorm(t *testing.T) {
	const rate = 0.01
	s := newService(rate, func(time.Duration) float64 { return 0.30 })
	s.run(10 * time.Minute) // an account that is full or in debt makes no difference to what follows
	for _, before := range []bool{false, true} {
		if !before {
			s = newService(rate, func(time.Duration) float64 { return 0.30 })
		}
		cuts, raises := s.cuts, s.raise
		spent := s.run(20 * time.Second)
		if spent > 1.2*20*rate || spent < 20*rate/1.5 {
			t.Errorf("spent %.4f in 20 s, want about %.4f", spent, 20*rate)
		}
		if s.cuts-cuts > 2 || s.raise != raises {
			t.Errorf("%d cuts, %d raises in 20 s", s.cuts-cuts, s.raise-raises)
		}
	}
}

// When the load goes, all is observed again, in steps; when it stays low, nothing is cut at all.
func TestRecovers(t *testing.T) {
	storm := true
	s := newService(0.01, func(time.Duration) float64 {
		if storm {
			return 0.5
		}
		return 0.002
	})
	s.run(time.Minute)
	if s.c.Share() > 0.02 {
		t.Fatalf("share %v in the storm", s.c.Share())
	}
	storm = false
	cuts := s.cuts
	s.run(2 * time.Minute)
	if s.c.Share() != 1 || s.cuts != cuts {
		t.Errorf("share %v two minutes after the storm, %d cuts", s.c.Share(), s.cuts-cuts)
	}
}

// A load near the budget, whatever its form, is kept without going up and down: changes become rare.
func TestDoesNotOscillate(t *testing.T) {
	const rate = 0.01
	rnd := rand.New(rand.NewPCG(5, 5))
	for name, load := range map[string]func(time.Duration) float64{
		"twice the budget": func(time.Duration) float64 { return 2 * rate },
		"noise":            func(time.Duration) float64 { return 4 * rate * rnd.Float64() },
		"a pulse a second": func(now time.Duration) float64 {
			if now%time.Second == 0 {
				return 15 * rate
			}
			return 0
		},
		"a storm a minute": func(now time.Duration) float64 {
			if now%time.Minute < 10*time.Second {
				return 20 * rate
			}
			return 0
		},
	} {
		s := newService(rate, load)
		s.run(2 * time.Minute)
		cuts, raises := s.cuts, s.raise
		spent := s.run(20 * time.Minute)
		t.Logf("%s: %.2f of the budget, %d cuts, %d raises in 20 minutes", name, spent/(rate*1200), s.cuts-cuts, s.raise-raises)
		if spent > 1.05*rate*1200 {
			t.Errorf("%s: spent %.2f of the budget", name, spent/(rate*1200))
		}
		if s.cuts-cuts > 40 {
			t.Errorf("%s: %d cuts in 20 minutes", name, s.cuts-cuts)
		}
	}
}

// Where the least is too much, observation pauses, and the budget is kept all the same.
func TestPauses(t *testing.T) {
	const rate = 100 // first touches a second
	s := newService(rate, func(time.Duration) float64 { return 1e6 })
	spent := s.run(20 * time.Second)
	if spent > 100e3+1.5*20*rate { // the first look comes after a tick of everything
		t.Errorf("%.0f in 20 s", spent)
	}
	paused := false
	later := newService(rate, func(time.Duration) float64 { return 1e6 })
	later.run(2 * time.Minute)
	at := later.spent
	for range 600 {
		later.run(tick)
		paused = paused || later.c.Share() == 0
	}
	if spent := later.spent - at; !paused || spent > 1.5*60*rate {
		t.Errorf("paused %v, spent %.0f in a minute", paused, spent)
	}
}

// What a cut itself costs is no reason for another one.
func TestChangesCost(t *testing.T) {
	s := newService(0.01, func(time.Duration) float64 { return 0.30 })
	s.cost = 0.1 // ten seconds of the budget
	s.run(20 * time.Second)
	if s.cuts != 1 || s.c.Share() < 0.01 {
		t.Errorf("%d cuts, share %v", s.cuts, s.c.Share())
	}
}

// Extras go first, alone where that may be enough, and come back last.
func TestExtras(t *testing.T) {
	const rate = 0.01
	load := 1.5
	s := newService(rate, func(time.Duration) float64 { return load * rate })
	s.c = New(rate, true, 0, 0)
	full := s.load
	s.load = func(now time.Duration) float64 {
		if s.c.Without() {
			return full(now) / 2
		}
		return full(now)
	}
	s.run(time.Minute)
	if !s.c.Without() || s.c.Share() != 1 {
		t.Errorf("without the extras %v, share %v", s.c.Without(), s.c.Share())
	}
	load = 30
	s.run(time.Minute)
	if !s.c.Without() || s.c.Share() == 1 {
		t.Errorf("in a storm: without the extras %v, share %v", s.c.Without(), s.c.Share())
	}
	load = 0.1
	s.run(5 * time.Minute)
	if s.c.Without() || s.c.Share() != 1 {
		t.Errorf("after it: without the extras %v, share %v", s.c.Without(), s.c.Share())
	}
}
