package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/firsttouch/firsttouch/agent"
	"github.com/firsttouch/firsttouch/exporter"
)

// truth is what the profiler itself says, with every first touch.
type truth struct {
	snap    *agent.Document
	windows agent.WindowsDocument
	bySpan  map[string][]agent.DocumentFault
}

// maxFaults is how many a snapshot has at most.
const maxFaults = 100_000

// gather takes the snapshot, and waits until Prometheus has got what it says. The memory is armed again all
// the time, and what arms it touches the database: so it takes a moment between two windows.
func gather(ctx context.Context, d *demoRun, prom *prometheus) (*truth, error) {
	var err error
	for deadline := time.Now().Add(2 * settle); time.Now().Before(deadline); {
		if err := d.moves(ctx); err != nil {
			return nil, err
		}
		t := &truth{bySpan: make(map[string][]agent.DocumentFault)}
		if t.snap, err = d.snapshot(ctx); err != nil {
			return nil, err
		}
		if s := t.snap.Engine; s.Faults == 0 || s.Dropped != 0 || s.LogCut != 0 || len(t.snap.Faults) != int(s.Faults) {
			return nil, fmt.Errorf("%d first touches are not known one by one: lower -requests: %+v", len(t.snap.Faults), s)
		}
		at, err := prom.both(ctx, time.Now())
		if err != nil {
			return nil, err
		}
		later := new(agent.Document)
		if err := fetch(ctx, d.page+"snapshot", url.Values{"faults": {"0"}}, later); err != nil {
			return nil, err
		}
		if later.Engine.Faults != t.snap.Engine.Faults || later.Engine.Messages != t.snap.Engine.Messages {
			continue
		}
		if err := fetch(ctx, d.page+"windows", nil, &t.windows); err != nil {
			return nil, err
		}
		prom.at = at
		for _, f := range t.snap.Faults {
			if f.SpanID != "" {
				t.bySpan[f.SpanID] = append(t.bySpan[f.SpanID], f)
			}
		}
		return t, nil
	}
	return nil, fmt.Errorf("the demo goes on touching memory, so that nothing can be compared, within %v", settle)
}

// moves waits until the number of first touches has changed, as it does when the memory is armed: the time until
// the next arming is then the longest.
func (d *demoRun) moves(ctx context.Context) error {
	last := uint64(0)
	for deadline := time.Now().Add(settle); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		now := new(agent.Document)
		if err := fetch(ctx, d.page+"snapshot", url.Values{"faults": {"0"}}, now); err != nil {
			return err
		}
		if last != 0 && now.Engine.Faults != last {
			return nil
		}
		last = now.Engine.Faults
	}
	return fmt.Errorf("the demo's memory was not armed again within %v", settle)
}

// both waits until both jobs have brought a sample after a moment, and returns when that was.
func (p *prometheus) both(ctx context.Context, after time.Time) (time.Time, error) {
	for _, job := range []string{jobScraped, jobSent} {
		expr := fmt.Sprintf("timestamp(firsttouch_messages_total{job=%q})", job)
		for deadline := time.Now().Add(settle); ; {
			got, err := p.query(ctx, expr)
			if err != nil {
				return time.Time{}, err
			}
			if len(got) == 1 && got[0].Value.value > float64(after.UnixMilli())/1000 {
				break
			}
			if time.Now().After(deadline) {
				return time.Time{}, fmt.Errorf("no new samples of the job %s in Prometheus within %v: %v", job, settle, got)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return time.Now(), nil
}

func (d *demoRun) snapshot(ctx context.Context) (*agent.Document, error) {
	doc := new(agent.Document)
	return doc, fetch(ctx, d.page+"snapshot", url.Values{"faults": {strconv.Itoa(maxFaults)}}, doc)
}

// counted is a histogram's content: how many in each bucket, and their sum.
type counted struct {
	buckets []uint64 // the last one has no bound
	sum     float64
}

func (c *counted) add(bounds []float64, v float64) {
	if c.buckets == nil {
		c.buckets = make([]uint64, len(bounds)+1)
	}
	i, _ := slices.BinarySearch(bounds, v) // bounds are inclusive
	c.buckets[i]++
	c.sum += v
}

func (c *counted) count() (n uint64) {
	for _, b := range c.buckets {
		n += b
	}
	return n
}

func bounds(metric string) []float64 {
	m, _ := exporter.LookupMetric(metric)
	return m.Bounds
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }

// slice is which of the 64 equal parts of its region a first touch is in, by whole numbers.
func (t *truth) slice(f agent.DocumentFault) int {
	return int(f.OffsetBytes * exporter.PositionSlices / t.snap.Regions[f.Region].Size)
}

// runs are the sizes of the runs of first touches: of one goroutine in one region, no pause of 1 ms.
func (t *truth) runs() map[uint32]*counted {
	type who struct {
		goroutine uint64
		region    uint32
	}
	type open struct {
		n   int
		end int64
	}
	out := make(map[uint32]*counted)
	now := make(map[who]*open)
	over := func(w who, o *open) {
		if out[w.region] == nil {
			out[w.region] = &counted{}
		}
		out[w.region].add(bounds(exporter.MetricBurstSize), float64(o.n))
	}
	for _, f := range t.snap.Faults {
		w := who{f.Goroutine, f.Region}
		o := now[w]
		if o != nil && f.TimeNS-o.end >= int64(time.Millisecond) {
			over(w, o)
			o = nil
		}
		if o == nil {
			o = &open{}
			now[w] = o
		}
		o.n++
		o.end = max(o.end, f.TimeNS+f.StallNS)
	}
	for w, o := range now {
		over(w, o)
	}
	return out
}
