//go:build linux && (amd64 || arm64)

// Command budget shows that a budget is kept: a load whose first touches would cost 30% of a processor
// is run without a budget, and then with one. It prints what each cost, and how good the estimates are: of
// what was touched while anything was observed. Pauses are in no estimate.
//
//	go run ./bench/budget -limit 1% -seconds 20
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/firsttouch/firsttouch/agent"
	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

const pages = 1 << 14

func main() {
	limit := flag.String("limit", "1%", "the budget, as in FIRSTTOUCH_BUDGET")
	seconds := flag.Int("seconds", 20, "how long the load runs with the budget")
	load := flag.Float64("load", 0.30, "share of a processor that it would cost without")
	flag.Parse()
	if err := run(*limit, time.Duration(*seconds)*time.Second, *load); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(limit string, length time.Duration, load float64) error {
	// The rate of touches that costs the load: found without a budget.
	rate := 5000.0
	for i := range 2 {
		fmt.Fprintf(os.Stderr, "looking for the rate of touches that costs %.0f%%: %d of 2, 3 s\n", 100*load, i+1)
		m, err := measure("off", rate, 3*time.Second)
		if err != nil {
			return err
		}
		rate *= load / m.share
	}
	fmt.Fprintf(os.Stderr, "%.0f first touches a second, for %v without a budget and %v with one\n", rate, length, length)
	printHeader()
	for _, l := range []string{"off", limit} {
		m, err := measure(l, rate, length)
		if err != nil {
			return err
		}
		m.print()
	}
	return nil
}

// measured is one run.
type measured struct {
	limit                 string
	touched               int     // in all
	known                 int     // of these, while anything was observed
	share                 float64 // of a processor, that it cost
	seen                  uint64
	estimate, error       float64
	observed              float64 // share of the region at the end
	paused                time.Duration
	cuts, raises          uint64
	engine, touchers, all time.Duration
}

const columns = "%-7s %10s %9s %9s %13s %8s %15s %8s %18s %9s %5s %6s\n"

func printHeader() {
	fmt.Printf(columns, "budget", "processor", "engine", "touchers", "first touches", "paused", "outside pauses", "seen",
		"estimate", "observed", "cuts", "raises")
}

// print writes a row: in observed, what share of the memory is at the end.
func (m measured) print() {
	observed := fmt.Sprintf("%.3g%%", 100*m.observed)
	if m.observed == 0 {
		observed = "paused"
	}
	fmt.Printf(columns, m.limit, fmt.Sprintf("%.2f%%", 100*m.share), m.engine.Round(time.Millisecond), m.touchers.Round(time.Millisecond),
		fmt.Sprint(m.touched), m.paused.Round(time.Millisecond), fmt.Sprint(m.known), fmt.Sprint(m.seen),
		fmt.Sprintf("%.0f ± %.0f", m.estimate, m.error), observed, fmt.Sprint(m.cuts), fmt.Sprint(m.raises))
}

// measure touches so many pages a second of an arena, whose memory is discarded whenever all of it was touched.
func measure(limit string, rate float64, length time.Duration) (m measured, err error) {
	a, err := agent.Start(context.Background(), agent.WithBudget(limit), agent.Required(), agent.WithFailingSystemCalls())
	if err != nil {
		return m, err
	}
	defer a.Shutdown(context.Background())
	arena, err := a.Arena("load", pages*os.Getpagesize())
	if err != nil {
		return m, err
	}
	mem, next := arena.Bytes(), 0
	var log []moment
	before, start := a.Profiler().Cost(), time.Now()
	for time.Since(start) < length {
		log = append(log, moment{profiler.Monotonic(), m.touched})
		for due := int(rate * time.Since(start).Seconds()); m.touched < due; m.touched++ {
			mem[next*7919%pages*os.Getpagesize()] = 1
			if next++; next == pages {
				next = 0
				if err := unix.Madvise(mem, unix.MADV_DONTNEED); err != nil {
					return m, err
				}
			}
		}
		time.Sleep(time.Millisecond)
	}
	c := a.Profiler().Cost()
	m.all = time.Since(start)
	m.limit, m.engine, m.touchers = limit, c.Engine-before.Engine, c.Touchers-before.Touchers
	m.share = float64(m.engine+m.touchers) / float64(m.all)
	s := a.Profiler().Snapshot()
	r := s.Region("load")
	m.known, m.paused = m.touched-inPauses(log, m.touched, r.Sampling), r.Estimate.Paused
	m.seen, m.estimate, m.error = r.Faults, r.Estimate.Faults, r.Estimate.FaultsError
	m.observed, m.cuts, m.raises = r.Share(), s.Stats.Budget.Cuts, s.Stats.Budget.Raises
	return m, nil
}

// moment is how much had been touched at a time, CLOCK_MONOTONIC.
type moment struct {
	at      time.Duration
	touched int
}

// inPauses counts the touches, in all so many, that were made while nothing was observed.
func inPauses(log []moment, all int, steps []profiler.SamplingStep) (n int) {
	for i, m := range log {
		after := all
		if i+1 < len(log) {
			after = log[i+1].touched
		}
		for j := len(steps) - 1; j >= 0; j-- {
			if steps[j].Since <= m.at {
				if steps[j].Sampled == 0 {
					n += after - m.touched
				}
				break
			}
		}
	}
	return n
}
