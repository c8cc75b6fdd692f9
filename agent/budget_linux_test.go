//go:build linux && (amd64 || arm64)

package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

func TestParseBudget(t *testing.T) {
	for v, want := range map[string]limit{
		"1%": {share: 0.01}, "0.5%": {share: 0.005}, "100%": {share: 1}, "500/s": {faults: 500}, "off": {},
	} {
		c := config{budget: limit{faults: 1}}
		if err := c.parseBudget(v); err != nil || c.budget != want {
			t.Errorf("%s: %+v, %v", v, c.budget, err)
		}
	}
	for _, v := range []string{"", "1", "0%", "-1%", "101%", "NaN%", "x/s", "5%/s", "1 %", "1e99/s"} {
		var c config
		if err := c.parseBudget(v); !errors.Is(err, profiler.ErrInvalid) {
			t.Errorf("%q was taken: %v", v, err)
		}
	}
}

// A service that touches far more than the budget allows is observed in part: the number of first touches that
// are seen is kept, what is left out is said, and the estimate holds.
func TestBudgetIsKept(t *testing.T) {
	const pages, budget, load = 4096, 200, 10000
	a := start(t, WithBudget("200/s"))
	arena, err := a.Arena("cache", pages*os.Getpagesize())
	if err != nil {
		t.Fatal(err)
	}
	mem, touched, next := arena.Bytes(), 0, 0
	for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(time.Millisecond) {
		for due := int(load * time.Since(begin).Seconds()); touched < due; touched++ {
			mem[next*1021%pages*os.Getpagesize()] = 1
			if next++; next == pages {
				next = 0
				if err := unix.Madvise(mem, unix.MADV_DONTNEED); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	s := a.Profiler().Snapshot()
	r := s.Region("cache")
	if len(r.Sampling) == 0 || r.Share() > 0.2 {
		t.Fatalf("%d of %d touches seen, in steps %+v", r.Faults, touched, r.Sampling)
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
		t.Errorf("%.0f of %d touches were seen in the %.1f s from the first cut on, allowed are %.0f", seen, touched, covered, allowed)
	}
	b := s.Stats.Budget
	if b.Cuts == 0 || b.Limit != "200 first touches a second" || !strings.Contains(b.State, "since") || b.Changed.IsZero() {
		t.Errorf("%+v", b)
	}
	if n := strings.Join(a.Notes(), "\n"); !strings.Contains(n, "budget of 200 first touches a second") {
		t.Errorf("notes %q", n)
	}
	e := r.Estimate
	if paused := b.Paused > 0 || b.Share == 0; !paused && (e.Faults < 0.6*float64(touched) || e.Faults > 1.4*float64(touched)) {
		t.Errorf("estimated are %.0f ± %.0f first touches, made were %d", e.Faults, e.FaultsError, touched)
	}
}

// A region that is to be observed more, and whose memory cannot tell what was touched meanwhile, is armed again
// when nobody else does it.
func TestMoreIsObservedOnceArmed(t *testing.T) {
	a := start(t, WithBudget("50%"))
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, make([]byte, 256*os.Getpagesize()), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := a.Profiler().MapFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a.own(r)
	for _, share := range []float64{0.25, 1} {
		if err := r.SetSampling(share); err != nil {
			t.Fatal(err)
		}
	}
	if share, wanted := r.Observed(); share != 0.25 || wanted != 1 {
		t.Fatalf("observed %v, wanted %v", share, wanted)
	}
	a.budget.join()
	a.budget.rearm()
	if share, wanted := r.Observed(); share != 1 || wanted != 1 {
		t.Errorf("observed %v, wanted %v", share, wanted)
	}
	a.budget = nil
}
