package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/demo/load"
	"github.com/firsttouch/firsttouch/internal/prefetch"
	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/firsttouch/firsttouch/internal/touchorder"
)

// fileOrder is the order of first touches of the recording.
const fileOrder = "app.touch"

// Each start is made so often, in turn with the others, and shown is the median of each figure: a single one says little.
const startRounds = 3

// firstRequests are those that a restart is felt by.
const firstRequests = 500

// Prefetched is what reading ahead does for the start of the service.
type Prefetched struct {
	Bytes  int64 `json:"bytes"`
	Ranges int   `json:"ranges"`
	Rounds int   `json:"rounds"` // of which the figures below are medians
	// Took is how long reading ahead takes, Contiguous reading as many bytes in one piece and WholeFile all of the file, both in blocks of 1 MiB.
	Took       time.Duration `json:"took_ns"`
	Contiguous time.Duration `json:"contiguous_ns"`
	WholeFile  time.Duration `json:"whole_file_ns"`
	Starts     []Start       `json:"starts"` // cold, cold with prefetch, warm
	// What the profiler saw of starts with prefetch: of the load that the order is of, and of one from another seed.
	Same      prefetch.Outcome `json:"same_load"`
	Other     prefetch.Outcome `json:"other_load"`
	OtherSeed uint64           `json:"other_seed"`
}

// Start is the cold phase after one kind of start, of a new process without the profiler.
type Start struct {
	Name     string        `json:"name"`
	Ready    time.Duration `json:"prefetch_ns"` // what was spent on reading ahead before
	Requests int           `json:"requests"`
	Elapsed  time.Duration `json:"elapsed_ns"`
	First    time.Duration `json:"first_requests_ns"` // until the first 500 requests were answered
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
}

// The kinds of start.
const (
	startCold = iota
	startPrefetch
	startWarm
)

var startNames = []string{startCold: "cold", startPrefetch: "cold, with prefetch", startWarm: "warm, all in the page cache"}

// startSteps is how many steps drivePrefetched takes.
const startSteps = 3

// drivePrefetched makes an order of the recording, and starts the service with it and without.
func (d *demo) drivePrefetched(ctx context.Context) (*Prefetched, error) {
	order, err := d.order()
	if err != nil {
		return nil, err
	}
	p := &Prefetched{Bytes: order.Bytes(), Ranges: order.Ranges(), Rounds: startRounds, OtherSeed: d.Seed + 1}
	d.steps.next("starts: cold, cold with prefetch, warm", roughly(15*time.Second))
	var contiguous, whole []time.Duration
	starts := make([][]Start, len(startNames))
	for range startRounds {
		for _, part := range []struct {
			bytes int64
			to    *[]time.Duration
		}{{p.Bytes, &contiguous}, {1 << 62, &whole}} {
			if err := d.makeCold(); err != nil {
				return nil, err
			}
			t, err := readBlocks(d.database, part.bytes)
			if err != nil {
				return nil, err
			}
			*part.to = append(*part.to, t)
		}
		for kind := range startNames {
			s, err := d.startOnce(ctx, kind, order)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", startNames[kind], err)
			}
			starts[kind] = append(starts[kind], s)
		}
	}
	for _, list := range starts {
		p.Starts = append(p.Starts, medians(list))
	}
	p.Took, p.Contiguous, p.WholeFile = p.Starts[startPrefetch].Ready, median(contiguous), median(whole)
	d.steps.next("the same requests after a prefetch, with the profiler", roughly(5*time.Second))
	if p.Same, err = d.measureOnce(ctx, order, d.paths); err != nil {
		return nil, err
	}
	other, err := load.Plan(d.names, p.OtherSeed, d.Requests)
	if err != nil {
		return nil, err
	}
	d.steps.next("requests of another seed after a prefetch, with the profiler", roughly(5*time.Second))
	p.Other, err = d.measureOnce(ctx, order, other)
	return p, err
}

// makeCold drops the database from the page cache.
func (d *demo) makeCold() error {
	p, err := dropPageCache(d.database)
	if err == nil && p.Refusal != "" {
		err = fmt.Errorf("no start can be made cold: %s", p.Refusal)
	}
	return err
}

// order makes the order of the recording, and writes it beside it.
func (d *demo) order() (*touchorder.Order, error) {
	f, err := os.Open(filepath.Join(d.out, fileRecord))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := recording.Read(f)
	if err != nil {
		return nil, err
	}
	order := prefetch.OrderOf(r.Snapshot, fileRecord).Order
	for path, err := range order.Identify() {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(order.Files) == 0 {
		return nil, errors.New("the service touched nothing of its database, so that there is nothing to read ahead")
	}
	return order, writeFile(d.out, fileOrder, order.Write)
}

// startOnce starts the service without the profiler, and sends it the requests.
func (d *demo) startOnce(ctx context.Context, kind int, order *touchorder.Order) (s Start, err error) {
	s = Start{Name: startNames[kind], Requests: len(d.paths)}
	if kind != startWarm { // what the start before has left there
		if err := d.makeCold(); err != nil {
			return s, err
		}
	}
	if kind == startPrefetch {
		if s.Ready, err = readAhead(ctx, order); err != nil {
			return s, err
		}
	}
	err = d.withService(ctx, false, func(c *child, address string) error {
		begin := time.Now()
		first := make(chan time.Duration, 1)
		got, err := load.Drive(ctx, "http://"+address, d.paths, d.Concurrency, func(done int) {
			if done == min(firstRequests, len(d.paths)) {
				first <- time.Since(begin)
			}
		})
		if err == nil && got.Failures > 0 {
			err = fmt.Errorf("%d requests failed, the first one: %s", got.Failures, got.First)
		}
		if err != nil {
			return err
		}
		s.Elapsed = got.Elapsed
		s.First = min(<-first, s.Elapsed) // its clock was started a little sooner
		var reply PhaseReply
		err = c.call(ctx, "Phase", &struct{}{}, &reply)
		s.P50, s.P99 = reply.Latency.P50, reply.Latency.P99
		return err
	})
	return s, err
}

// measureOnce starts the service with the profiler after a prefetch, and has it hold the order against what it saw.
func (d *demo) measureOnce(ctx context.Context, order *touchorder.Order, paths []string) (out prefetch.Outcome, err error) {
	if err := d.makeCold(); err != nil {
		return out, err
	}
	if _, err := readAhead(ctx, order); err != nil {
		return out, err
	}
	err = d.withService(ctx, true, func(c *child, address string) error {
		if _, err := load.Drive(ctx, "http://"+address, paths, d.Concurrency, func(done int) { d.steps.at("requests", done, len(paths)) }); err != nil {
			return err
		}
		return c.call(ctx, "Prefetched", &PrefetchedArgs{Order: filepath.Join(d.out, fileOrder)}, &out)
	})
	return out, err
}

// withService has a service of its own for use.
func (d *demo) withService(ctx context.Context, profile bool, use func(c *child, address string) error) error {
	c, err := startChild(&d.Options)
	if err != nil {
		return err
	}
	var started StartReply
	if err = c.call(ctx, "Start", &StartArgs{Database: d.database, Listen: "127.0.0.1:0", Profile: profile, Granule: d.Granule}, &started); err == nil {
		if started.Unsupported != "" {
			err = refusedError(started.Unsupported)
		} else {
			err = use(c, started.Address)
		}
	}
	return errors.Join(err, c.stop())
}

// readAhead is what firsttouch prefetch does.
func readAhead(ctx context.Context, order *touchorder.Order) (time.Duration, error) {
	r, err := order.Run(ctx, touchorder.Options{Memory: 1})
	if err == nil && r.Skipped() > 0 {
		err = fmt.Errorf("%d bytes could not be read ahead: %v", r.Skipped(), r.Files)
	}
	return r.Took, err
}

// readBlocks reads so much of a file, as dd does with blocks of 1 MiB.
func readBlocks(path string, bytes int64) (time.Duration, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	begin := time.Now()
	b := make([]byte, 1<<20)
	for left := bytes; left > 0; {
		n, err := f.Read(b[:min(left, int64(len(b)))])
		if left -= int64(n); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}

func median(list []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(list))
	return s[len(s)/2]
}

func medians(list []Start) Start {
	of := func(get func(Start) time.Duration) time.Duration {
		var each []time.Duration
		for _, s := range list {
			each = append(each, get(s))
		}
		return median(each)
	}
	s := list[0]
	s.Ready, s.Elapsed, s.First = of(func(s Start) time.Duration { return s.Ready }), of(func(s Start) time.Duration { return s.Elapsed }), of(func(s Start) time.Duration { return s.First })
	s.P50, s.P99 = of(func(s Start) time.Duration { return s.P50 }), of(func(s Start) time.Duration { return s.P99 })
	return s
}

func renderPrefetched(w io.Writer, p *Prefetched) error {
	if p == nil {
		return nil
	}
	t := report.NewTable(fmt.Sprintf("Start warm (the same requests without the profiler, new processes; medians of %d starts of each kind)", p.Rounds),
		report.Left("start"), report.Right("prefetch"), report.Right(fmt.Sprintf("first %d requests", firstRequests)), report.Right("both"), report.Right("against cold"),
		report.Right("requests/s"), report.Right("p50"), report.Right("p99"))
	for i, s := range p.Starts {
		ready := "-"
		if i == startPrefetch {
			ready = summary.Duration(s.Ready)
		}
		t.Row(s.Name, ready, summary.Duration(s.First), summary.Duration(s.Ready+s.First), times(p.Starts[startCold].First, s.Ready+s.First),
			rate(s.Requests, s.Elapsed), summary.Duration(s.P50), summary.Duration(s.P99))
	}
	if err := t.Write(w); err != nil {
		return err
	}
	t = report.NewTable("What the prefetch did (seen by the profiler)", report.Left("requests"), report.Right("waiting for the disk, expected"), report.Right("left"),
		report.Right("gone"), report.Right("found their page there"), report.Right("read in vain"))
	for _, row := range []struct {
		name string
		prefetch.Outcome
	}{{"those of the recording", p.Same}, {fmt.Sprintf("of seed %d", p.OtherSeed), p.Other}} {
		t.Row(row.name, summary.Duration(row.Expected), summary.Duration(row.Left), summary.Percent(1-float64(row.Left)/float64(max(row.Expected, 1))),
			fmt.Sprintf("%s of %s", summary.Count(row.Found), summary.Count(row.Touches)),
			summary.Percent(float64(row.InVain)/float64(max(p.Bytes, 1))))
	}
	if err := t.Write(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "  Prefetch: %s in %s ranges in %s. As many bytes in one piece take %s, the whole file %s (blocks of 1 MiB).\n\n",
		summary.Bytes(p.Bytes), summary.Count(p.Ranges), summary.Duration(p.Took), summary.Duration(p.Contiguous), summary.Duration(p.WholeFile))
	return err
}

// times is by what factor something takes less than something else.
func times(than, is time.Duration) string {
	if is <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.1fx", float64(than)/float64(is))
}
