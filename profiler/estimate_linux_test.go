//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// estimates collects what many samples say of one number.
type estimates struct {
	sum, squares float64
	n            int
	within       [2]int // one and two of their own standard errors
	errors       float64
}

func (e *estimates) add(got, err, want float64) {
	d := got - want
	e.sum, e.squares, e.errors = e.sum+d, e.squares+d*d, e.errors+err
	e.n++
	for i := range e.within {
		if math.Abs(d) <= float64(i+1)*err+1e-6 {
			e.within[i]++
		}
	}
}

// check wants a mean that chance explains, and errors that cover the truth about as often as they say: 68%
// and 95% of the time.
func (e *estimates) check(t *testing.T, what string, want float64) {
	t.Helper()
	n := float64(e.n)
	mean := e.sum / n
	sd := math.Sqrt((e.squares/n - mean*mean) * n / (n - 1))
	t.Logf("%s: %d samples of %.0f are off by %+.2f%% in the mean, %.2f%% in the standard deviation; stated %.2f%%; within one %d, two %d",
		what, e.n, want, 100*mean/want, 100*sd/want, 100*e.errors/n/want, e.within[0], e.within[1])
	if math.Abs(mean) > 3*sd/math.Sqrt(n) {
		t.Errorf("%s: biased: the mean of %d samples of %.0f is off by %.1f, with a standard deviation of %.1f", what, e.n, want, mean, sd)
	}
	if e.within[0] < e.n*55/100 || e.within[1] < e.n*85/100 {
		t.Errorf("%s: %d of %d within one standard error, %d within two", what, e.within[0], e.n, e.within[1])
	}
	if e.errors == 0 {
		t.Errorf("%s: no error was stated", what)
	}
}

// pattern is a set of pages that a service may touch: a part that is hot, and scattered ones.
func pattern(seed uint64, pages int) []int {
	rnd := rand.New(rand.NewPCG(seed, 8))
	var out []int
	for i := range pages {
		if i >= pages/4 && i < pages/2 || rnd.IntN(8) == 0 {
			out = append(out, i)
		}
	}
	rnd.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// sampledRegion is a region of one of the kinds, of which a share is observed.
func sampledRegion(t *testing.T, p *Profiler, kind Kind, name string, pages int, share float64) (*Region, []byte) {
	t.Helper()
	if err := p.SetSampling(share); err != nil {
		t.Fatal(err)
	}
	switch kind {
	case KindArena:
		r := newArena(t, p, name, pages*pageSize)
		return r, r.Bytes()
	case KindMemory:
		b := mapMemory(t, pages)
		return attachMemory(t, p, b, WithName(name)), b
	case KindMappedFile:
		r, err := p.MapFile(newFile(t, pages*pageSize), WithName(name))
		if err != nil {
			t.Fatal(err)
		}
		return r, r.Bytes()
	}
	path := newFile(t, pages*pageSize)
	b := mapFile(t, path, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	r, err := p.AttachFile(path, WithName(name))
	if err != nil {
		t.Fatal(err)
	}
	return r, b
}

// Over many samples the estimates of faults and of touched memory have no bias, and their errors are what
// they say: for every kind of memory, with one share all the time and with one that falls while pages are
// touched.
func TestEstimatesAreUnbiased(t *testing.T) {
	const pages = 1536
	runs := testproc.Times(40, 120)
	for _, kind := range []Kind{KindArena, KindMemory, KindMappedFile, KindAttached} {
		for _, shares := range [][]float64{{0.25}, {0.5, 0.125}} {
			t.Run(fmt.Sprintf("%s %v", kindWord(kind), shares), func(t *testing.T) {
				if kind != KindArena {
					runs = testproc.Times(20, 60) // each stops all threads, or writes a file
				}
				p := newProfiler(t, WithStacks(StacksNone()), withSamplingSeed(11))
				want := pattern(1, pages)
				var faults, touched estimates
				for run := range runs {
					r, b := sampledRegion(t, p, kind, fmt.Sprint("run ", run), pages, shares[0])
					if got := p.Snapshot().Regions[r.ID()]; got.Faults != 0 {
						t.Fatalf("%d faults before the first touch", got.Faults)
					}
					for i, k := range want {
						if i == len(want)/2 && len(shares) > 1 {
							if err := r.SetSampling(shares[1]); err != nil {
								t.Fatal(err)
							}
						}
						sink += b[k*pageSize]
					}
					s := p.Snapshot()
					e := s.Regions[r.ID()].Estimate
					faults.add(e.Faults, e.FaultsError, float64(len(want)))
					touched.add(e.Touched, e.TouchedError, float64(len(want)*pageSize))
					checkSampled(t, s, r, b, len(want), shares)
					if err := r.Close(); err != nil {
						t.Fatal(err)
					}
				}
				faults.check(t, "faults", float64(len(want)))
				touched.check(t, "touched", float64(len(want)*pageSize))
			})
		}
	}
}

// What happens in a pause is in no estimate, which says for how long that was; what happens before and after it is,
// without bias.
func TestEstimatesLeavePausesOut(t *testing.T) {
	const pages = 1536
	runs := testproc.Times(30, 60)
	p := newProfiler(t, WithStacks(StacksNone()), withSamplingSeed(12))
	want := pattern(2, pages)
	third := len(want) / 3
	var faults estimates
	for run := range runs {
		r, b := sampledRegion(t, p, KindArena, fmt.Sprint("run ", run), pages, 0.25)
		var paused time.Duration
		for i, share := range []float64{0.25, 0, 0.25} {
			if err := r.SetSampling(share); err != nil {
				t.Fatal(err)
			}
			began := engine.Now()
			for _, k := range want[i*third : (i+1)*third] {
				b[k*pageSize] = 1
			}
			if share == 0 {
				paused = engine.Now() - began
			}
		}
		s := p.Snapshot()
		e := s.Regions[r.ID()].Estimate
		faults.add(e.Faults, e.FaultsError, float64(2*third))
		if e.Paused < paused {
			t.Errorf("a pause of %v at least is said to be one of %v", paused, e.Paused)
		}
		if n := s.SamplingNote(r.ID()); !strings.Contains(n, "nothing was, which is in no count") {
			t.Errorf("the note says nothing of a pause: %s", n)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	faults.check(t, "faults outside the pause", float64(2*third))
}

func kindWord(k Kind) string {
	return map[Kind]string{KindArena: "arena", KindMemory: "memory", KindMappedFile: "mapped", KindAttached: "attached"}[k]
}

// checkSampled holds that what was left out is said, and that what was seen is less.
func checkSampled(t *testing.T, s *Snapshot, r *Region, b []byte, want int, shares []float64) {
	t.Helper()
	st := &s.Regions[r.ID()]
	if len(st.Sampling) != len(shares) || st.Faults == 0 || int(st.Faults) >= want {
		t.Fatalf("%d of %d faults, in steps %+v", st.Faults, want, st.Sampling)
	}
	for i, step := range st.Sampling {
		if math.Abs(step.Share()-shares[i]) > 0.01 || step.Since < s.StartMono || step.Since > s.EndMono {
			t.Errorf("step %d is %+v, want a share of %v", i, step, shares[i])
		}
	}
	if st.Share() != st.Sampling[len(shares)-1].Share() {
		t.Errorf("share %v now, after %+v", st.Share(), st.Sampling)
	}
}

// withSamplingSeed varies which blocks of a region are observed where only a share of them is. Without it they
// are the same for a region of the same name and size in every run, so that runs can be compared.
func withSamplingSeed(seed uint64) Option {
	return optionFunc(func(c *config) error { c.seed = seed; return nil })
}
