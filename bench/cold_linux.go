//go:build linux && (amd64 || arm64)

package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// coldVariants are the ways to touch a file that is in no cache; the first one is what the others are compared with.
var coldVariants = []struct {
	name  string
	opts  []profiler.Option
	plain bool
	eye   bool // page faults are observed, which are not all first touches
}{
	{name: "plain mapping", plain: true},
	{name: "by thread, every stack", opts: []profiler.Option{profiler.WithStacks(profiler.StacksEvery())}},
	{name: "by thread, no stacks", opts: []profiler.Option{profiler.WithStacks(profiler.StacksNone())}},
	{name: "by signal, every stack", opts: []profiler.Option{profiler.WithStacks(profiler.StacksEvery()), profiler.WithDelivery(profiler.DeliverySignal)}},
	{name: "observed, every stack", opts: []profiler.Option{profiler.WithStacks(profiler.StacksEvery()), profiler.WithDelivery(profiler.DeliveryObserve)}, eye: true},
}

// coldRun is what one way has taken, all but the last three for each touch.
type coldRun struct {
	wall, processor, p50, p99        float64 // us
	messages, majors, read, resident float64 // of the kernel; major faults; bytes; bytes of files that the process has in memory
	seen                             float64 // share of the touched pages that the profiler has as touched
	late, stop                       float64 // us: what beside has measured
	skip                             string
}

// coldGroups are by how many goroutines, and with which advice: without MADV_RANDOM the kernel reads ahead and maps neighbours.
var coldGroups = []struct {
	goroutines, advice int
	name               string
}{
	{1, unix.MADV_RANDOM, "without read-ahead, 1 goroutine"}, {4, unix.MADV_RANDOM, "without read-ahead, 4 goroutines"},
	{16, unix.MADV_RANDOM, "without read-ahead, 16 goroutines"}, {64, unix.MADV_RANDOM, "without read-ahead, 64 goroutines"},
	{4, unix.MADV_NORMAL, "with read-ahead (no advice), 4 goroutines"},
}

// Cold compares random touches of one page each, of a file that is in no cache, by so many goroutines: plain and observed take turns.
func Cold(w io.Writer, rounds, pages int) (err error) {
	dir, err := os.MkdirTemp("", "firsttouch-bench-")
	if err != nil {
		return err
	}
	r := &rig{dir: dir, pages: pages}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.makeCompared(4 * pages * pageSize); err != nil {
		return err
	}
	if err := writeSystem(w, rounds, pages, []string{loadAverage()}); err != nil {
		return err
	}
	for _, g := range coldGroups {
		runs := make([][]coldRun, len(coldVariants))
		for turn := range rounds {
			for i := range coldVariants {
				i = (i + turn) % len(coldVariants)
				if err := r.prepare(cell{Memory: memoryDisk}); err != nil {
					return err
				}
				run, err := r.cold(i, pages, g.goroutines, g.advice, false)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", coldVariants[i].name, g.name, err)
				}
				runs[i] = append(runs[i], run)
			}
		}
		if err := writeCold(w, g.name, runs); err != nil {
			return err
		}
	}
	return nil
}

// cold makes one variant's touches. With beside, it measures meanwhile how late others are.
func (r *rig) cold(variant, pages, goroutines, advice int, beside bool) (run coldRun, err error) {
	v := coldVariants[variant]
	b, err := mapFile(r.compared, 4*pages*pageSize)
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, unix.Munmap(b)) }()
	if err := unix.Madvise(b, advice); err != nil {
		return run, fmt.Errorf("madvise: %w", err)
	}
	var p *running
	if !v.plain {
		res := result{}
		if p, res, err = newProfiler(v.opts...); p == nil {
			return coldRun{skip: res.skip}, err
		}
		defer func() { err = errors.Join(err, p.Close()) }()
		if _, err := p.AttachFile(r.compared, profiler.WithName("bench")); err != nil {
			return run, err
		}
	}
	order := rand.New(rand.NewPCG(1, uint64(goroutines))).Perm(4 * pages)[:pages]
	took := make([]time.Duration, pages)
	before, err := countersNow()
	if err != nil {
		return run, err
	}
	late, stop := 0., 0.
	end := func() {}
	if beside {
		end = startBeside(&late, &stop)
	}
	start := time.Now()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := g; i < pages; i += goroutines {
				at := time.Now()
				fetch(b[order[i]*pageSize:][:1], 1)
				took[i] = time.Since(at)
			}
		})
	}
	wg.Wait()
	wall := time.Since(start)
	end()
	after, err := countersNow()
	if err != nil {
		return run, err
	}
	n := float64(pages)
	slices.Sort(took)
	run = coldRun{
		wall: micros(wall) / n, processor: micros(after.processor-before.processor) / n,
		p50: micros(took[pages/2]), p99: micros(took[pages*99/100]),
		majors: float64(after.majors-before.majors) / n, read: float64(after.read-before.read) / n, resident: float64(after.resident - before.resident),
		late: late, stop: stop,
	}
	if p == nil {
		return run, nil
	}
	if v.eye {
		time.Sleep(interruptedLate)
	}
	s := p.Snapshot()
	run.messages = float64(s.Stats.Messages) / n
	region := s.Region("bench")
	for _, page := range order {
		if region.TouchedAt(int64(page) * int64(pageSize)) {
			run.seen += 1 / n
		}
	}
	if v.eye {
		return run, nil
	}
	return run, p.check("bench", uint64(pages), s.Stats.StackSampling == profiler.StacksEvery().String())
}

// interruptedLate is how late a fault comes that a signal has interrupted and that was not made again.
const interruptedLate = 2500 * time.Millisecond

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// counters are what the kernel has counted for this process.
type counters struct {
	processor              time.Duration
	majors, read, resident int64
}

func countersNow() (c counters, err error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return c, fmt.Errorf("getrusage: %w", err)
	}
	c.processor = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	c.majors = u.Majflt
	if c.read, err = field("/proc/self/io", "read_bytes:"); err != nil {
		return c, err
	}
	c.resident, err = field("/proc/self/status", "RssFile:")
	c.resident <<= 10
	return c, err
}

// field reads a number from a file of lines that begin with a name.
func field(path, name string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		if f := bytes.Fields(s.Bytes()); len(f) > 1 && string(f[0]) == name {
			return strconv.ParseInt(string(f[1]), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}

// writeCold writes the medians, and the medians of ratios within a round.
func writeCold(w io.Writer, group string, runs [][]coldRun) error {
	fmt.Fprintf(w, "\n### Random touches of a cold file, %s\n\n| | wall us a touch | × plain | processor us | × plain | p50 us | × plain | p99 us | × plain | messages | major faults | read × plain | resident × plain | seen |\n|---|%s\n",
		group, "---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	for i, v := range coldVariants {
		if skip := runs[i][0].skip; skip != "" {
			fmt.Fprintf(w, "| %s | skipped: %s |\n", v.name, skip)
			continue
		}
		value := func(of func(coldRun) float64) (values, base []float64) {
			for k := range runs[i] {
				values, base = append(values, of(runs[i][k])), append(base, of(runs[0][k]))
			}
			return values, base
		}
		fmt.Fprintf(w, "| %s |", v.name)
		for _, of := range []func(coldRun) float64{
			func(r coldRun) float64 { return r.wall }, func(r coldRun) float64 { return r.processor },
			func(r coldRun) float64 { return r.p50 }, func(r coldRun) float64 { return r.p99 },
		} {
			values, base := value(of)
			fmt.Fprintf(w, " %.0f | %s |", quantile(values, .5), spread(ratios(values, base)))
		}
		for _, of := range []func(coldRun) float64{func(r coldRun) float64 { return r.messages }, func(r coldRun) float64 { return r.majors }} {
			values, _ := value(of)
			fmt.Fprintf(w, " %.2f |", quantile(values, .5))
		}
		for _, of := range []func(coldRun) float64{func(r coldRun) float64 { return r.read }, func(r coldRun) float64 { return r.resident }} {
			values, base := value(of)
			fmt.Fprintf(w, " %.2f |", quantile(ratios(values, base), .5))
		}
		seen := "-"
		if !v.plain {
			values, _ := value(func(r coldRun) float64 { return r.seen })
			seen = fmt.Sprintf("%.1f%%", 100*quantile(values, .5))
		}
		if _, err := fmt.Fprintf(w, " %s |\n", seen); err != nil {
			return err
		}
	}
	return nil
}
