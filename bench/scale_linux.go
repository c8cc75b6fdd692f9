//go:build linux && (amd64 || arm64)

package bench

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// scaleVariants are those of coldVariants that Scale compares, the plain mapping first.
var scaleVariants = []string{"plain mapping", "by thread, every stack", "by signal, every stack"}

// scaleGoroutines touch the file, in turn.
var scaleGoroutines = []int{1, 4, 16, 64}

// scaleProcessors are the values of GOMAXPROCS: 1, 2 and 8, and what this machine has beyond that, up to 64.
func scaleProcessors(cpus int) []int {
	list := []int{1, 2, 8}
	for n := 16; n <= min(cpus, 64); n *= 2 {
		list = append(list, n)
	}
	if n := min(cpus, 64); !slices.Contains(list, n) {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

// scaleModes are what each number of goroutines does in a round.
var scaleModes = []struct {
	advice int
	beside bool
}{{unix.MADV_RANDOM, false}, {unix.MADV_RANDOM, true}, {unix.MADV_NORMAL, false}}

// scaleCell has the runs of one number of processors and of goroutines: by mode, variant and round.
type scaleCell struct {
	processors, goroutines int
	runs                   [][][]coldRun
}

// Scale compares touches of a cold file without and with the profiler at each number of processors and of goroutines, and says of each
// target whether it holds. The caller has called Child before.
func Scale(w io.Writer, rounds, pages int) (err error) {
	dir, err := os.MkdirTemp("", "firsttouch-bench-")
	if err != nil {
		return err
	}
	r := &rig{dir: dir, pages: pages}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.makeCompared(4 * pages * pageSize); err != nil {
		return err
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	variants := make([]int, len(scaleVariants))
	for i, name := range scaleVariants {
		for k, v := range coldVariants {
			if v.name == name {
				variants[i] = k
			}
		}
	}
	busy := []string{loadAverage()}
	var cells []*scaleCell
	for _, n := range scaleProcessors(runtime.NumCPU()) {
		for _, g := range scaleGoroutines {
			c := &scaleCell{processors: n, goroutines: g, runs: make([][][]coldRun, len(scaleModes))}
			for m := range scaleModes {
				c.runs[m] = make([][]coldRun, len(variants))
			}
			cells = append(cells, c)
		}
	}
	for turn := range rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", turn+1, rounds)
		for _, c := range cells {
			runtime.GOMAXPROCS(c.processors)
			for m, mode := range scaleModes {
				for i := range variants {
					i = (i + turn) % len(variants)
					if err := r.prepare(cell{Memory: memoryDisk}); err != nil {
						return err
					}
					run, err := r.cold(variants[i], pages, c.goroutines, mode.advice, mode.beside)
					if err != nil {
						return fmt.Errorf("%s, GOMAXPROCS %d, %d goroutines: %w", scaleVariants[i], c.processors, c.goroutines, err)
					}
					if i == 0 && run.read == 0 {
						return fmt.Errorf("%s is on no disk: nothing was read for a file that had been dropped from memory: set TMPDIR to a directory on a disk", dir)
					}
					c.runs[m][i] = append(c.runs[m][i], run)
				}
			}
		}
	}
	runtime.GOMAXPROCS(runtime.NumCPU())
	if err := writeSystem(w, rounds, pages, append(busy, loadAverage())); err != nil {
		return err
	}
	return writeScale(w, cells)
}

// startBeside has one goroutine sleep for a millisecond at a time, and one force a collection every ten, until the function that it returns
// is called. That sets the mean of how late the first one was, and of how long it took to stop all others for a collection, in us.
func startBeside(late, stop *float64) (end func()) {
	done := make(chan struct{})
	var all sync.WaitGroup
	before := collectorStops()
	all.Go(func() {
		sum, n := time.Duration(0), 0
		for {
			select {
			case <-done:
				*late = micros(sum) / float64(max(n, 1))
				return
			default:
			}
			start := time.Now()
			time.Sleep(time.Millisecond)
			sum, n = sum+time.Since(start)-time.Millisecond, n+1
		}
	})
	all.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
				runtime.GC()
			}
		}
	})
	return func() {
		close(done)
		all.Wait()
		*stop = meanOf(before, collectorStops())
	}
}

// collectorStops are the times from when a collection wanted all Ps to stop to when they had, since this process began.
func collectorStops() *metrics.Float64Histogram {
	s := []metrics.Sample{{Name: "/sched/pauses/stopping/gc:seconds"}}
	metrics.Read(s)
	return s[0].Value.Float64Histogram()
}

// meanOf is the mean, in us, of what has come to a histogram of seconds, each at the lower end of its bucket.
func meanOf(before, after *metrics.Float64Histogram) float64 {
	sum, n := 0., 0.
	for i, c := range after.Counts {
		if d := float64(c - before.Counts[i]); d > 0 {
			sum, n = sum+d*max(after.Buckets[i], 0), n+d
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return sum / n * 1e6
}

// claim is what Scale decides: a figure beside that of the plain mapping, and its bounds by number of goroutines, thread before signal.
type claim struct {
	name       string
	mode       int
	of         func(coldRun) float64
	difference bool    // the bound is of the difference, not of the ratio
	both       bool    // it must not be below 1 by as much either
	slack      float64 // what is more by no more than this holds anyhow: a ratio of what is almost nothing says nothing
	limits     func(goroutines int) (thread, signal float64)
}

func upTo(thread, signal float64) func(int) (float64, float64) {
	return func(int) (float64, float64) { return thread, signal }
}

// claims are the targets. What has none is measured and shown: the limit is 0.
var claims = []claim{
	{name: "wall time", of: func(r coldRun) float64 { return r.wall }, limits: func(n int) (float64, float64) {
		switch {
		case n == 1:
			return 2, 1.3
		case n <= 4:
			return 2.5, 1.6
		}
		return 3.3, 1.6
	}},
	{name: "processor time", of: func(r coldRun) float64 { return r.processor }, limits: func(n int) (float64, float64) {
		switch n {
		case 1:
			return 2.4, 1.6
		case 4:
			return 2.8, 1.8
		}
		return 0, 0
	}},
	{name: "median touch", of: func(r coldRun) float64 { return r.p50 }, limits: upTo(0, 0)},
	{name: "99th percentile", of: func(r coldRun) float64 { return r.p99 }, limits: upTo(0, 0)},
	{name: "another's timer, mean lateness", mode: 1, slack: 50, of: func(r coldRun) float64 { return r.late }, limits: upTo(1.2, 1.2)},
	{name: "stop for a collection, mean", mode: 1, slack: 10, of: func(r coldRun) float64 { return r.stop }, limits: upTo(1.2, 1.2)},
	{name: "bytes read from the device", both: true, of: func(r coldRun) float64 { return r.read }, limits: upTo(1.05, 1.05)},
	{name: "major faults a touch, more", difference: true, both: true, of: func(r coldRun) float64 { return r.majors }, limits: upTo(.05, .05)},
	{name: "resident (RssFile)", both: true, of: func(r coldRun) float64 { return r.resident }, limits: upTo(1.05, 1.05)},
	{name: "bytes read from the device, no advice", mode: 2, both: true, of: func(r coldRun) float64 { return r.read }, limits: upTo(1.05, 1.05)},
	{name: "major faults a touch, more, no advice", mode: 2, difference: true, both: true, of: func(r coldRun) float64 { return r.majors }, limits: upTo(.05, .05)},
	{name: "resident (RssFile), no advice", mode: 2, both: true, of: func(r coldRun) float64 { return r.resident }, limits: upTo(1.05, 1.05)},
	{name: "wall time, no advice", mode: 2, of: func(r coldRun) float64 { return r.wall }, limits: upTo(0, 0)},
}

// verdicts of one claim in one cell.
const (
	holds   = "holds"
	fails   = "fails"
	unclear = "unclear" // the median is beyond the limit, and a quartile of the rounds is not
)

// judge compares the rounds of a variant with those of the plain mapping.
func (c *claim) judge(values, base []float64, limit float64) (median float64, verdict string) {
	var shown, held []float64
	for i, v := range values {
		by, more := v/base[i], v-base[i]
		if c.difference {
			by = more
		}
		if math.IsNaN(by) {
			continue // one of them has no value
		}
		shown = append(shown, by)
		if c.slack != 0 && more <= c.slack {
			by = min(by, limit)
		}
		held = append(held, by)
	}
	median = quantile(shown, .5)
	if limit == 0 || len(held) == 0 {
		return median, ""
	}
	least := math.Inf(-1)
	switch {
	case c.both && c.difference:
		least = -limit
	case c.both:
		least = 2 - limit
	}
	switch middle := quantile(held, .5); {
	case middle >= least && middle <= limit:
		return median, holds
	case quantile(held, .25) > limit || quantile(held, .75) < least:
		return median, fails
	}
	return median, unclear
}

// writeScale writes a table for each way, and the verdict.
func writeScale(w io.Writer, cells []*scaleCell) error {
	count := map[string]map[string]int{}
	for i := 1; i < len(scaleVariants); i++ {
		if skip := cells[0].runs[0][i][0].skip; skip != "" {
			fmt.Fprintf(w, "\n### Cold file, %s\n\nskipped: %s\n", scaleVariants[i], skip)
			continue
		}
		fmt.Fprintf(w, "\n### Cold file, %s\n\nTimes the plain mapping, or more than it; in brackets the figure of the plain mapping, in us or bytes. ! is beyond the target, ? is too unsteady to tell.\nA timer that is later by 50 us at most, and a stop that takes 10 us more, are within it, whatever the ratio.\n\n| GOMAXPROCS | goroutines |", scaleVariants[i])
		for _, c := range claims {
			fmt.Fprintf(w, " %s |", c.name)
		}
		fmt.Fprintf(w, "\n|%s\n", strings.Repeat("---:|", len(claims)+2))
		for _, cell := range cells {
			fmt.Fprintf(w, "| %d | %d |", cell.processors, cell.goroutines)
			for k := range claims {
				c := &claims[k]
				limit, signal := c.limits(cell.goroutines)
				if i == 2 {
					limit = signal
				}
				var values, base []float64
				for n, run := range cell.runs[c.mode][i] {
					values, base = append(values, c.of(run)), append(base, c.of(cell.runs[c.mode][0][n]))
				}
				median, verdict := c.judge(values, base, limit)
				if math.IsNaN(median) {
					fmt.Fprint(w, " - |")
					continue
				}
				fmt.Fprintf(w, " %.2f%s (%.4g) |", median, map[string]string{fails: "!", unclear: "?"}[verdict], quantile(present(base), .5))
				if verdict != "" {
					name := scaleVariants[i] + ": " + c.name
					if count[name] == nil {
						count[name] = map[string]int{}
					}
					count[name][verdict]++
				}
			}
			fmt.Fprintln(w)
		}
	}
	fmt.Fprintf(w, "\n### Verdict\n\n")
	failed, open := 0, 0
	for i := 1; i < len(scaleVariants); i++ {
		for _, c := range claims {
			if n := count[scaleVariants[i]+": "+c.name]; n != nil {
				fmt.Fprintf(w, "- %s: %s: holds in %d of %d cells, fails in %d, unclear in %d\n", scaleVariants[i], c.name, n[holds], n[holds]+n[fails]+n[unclear], n[fails], n[unclear])
				failed, open = failed+n[fails], open+n[unclear]
			}
		}
	}
	word := "every target holds"
	switch {
	case len(count) == 0:
		word = "nothing could be measured"
	case failed > 0:
		word = fmt.Sprintf("%d figures are beyond their targets, %d are too unsteady to tell", failed, open)
	case open > 0:
		word = fmt.Sprintf("no figure is beyond its target for certain, %d are too unsteady to tell", open)
	}
	_, err := fmt.Fprintf(w, "\n%d processors: %s.\n", runtime.NumCPU(), word)
	return err
}
