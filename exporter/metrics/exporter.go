package metrics

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/metric"
)

// ScopeName is the instrumentation scope of the metrics.
const ScopeName = "github.com/firsttouch/firsttouch/exporter/metrics"

// Source is what an Exporter needs of a *profiler.Profiler. It is safe for concurrent use.
type Source interface {
	Snapshot() *profiler.Snapshot
	Stalled() int
	Resident() map[profiler.RegionID]int64
	RegionGroup(profiler.RegionID) string
	RegionSize(profiler.RegionID) int64
	Span(profiler.SpanRef) (profiler.SpanStats, bool)
}

var _ Source = (*profiler.Profiler)(nil)

// Exporter records what a profiler sees. Its methods are safe for concurrent use.
type Exporter struct {
	ins   instruments
	wins  func() []profiler.RegionWindow // nil: there are none
	queue *queue
	now   func() time.Duration // the clock of faults
	reg   metric.Registration

	requests requests

	mu    sync.Mutex // guards what follows; held while faults are recorded
	src   Source     // nil before Start
	names *names
	rec   *recorder

	lost    atomic.Uint64 // faults that found no place in the queue
	started atomic.Bool
	closing sync.Once
	stop    chan struct{}
	done    chan struct{} // closed by the goroutine of Start when it ends
}

// New makes the instruments. Give Observe to the profiler and the profiler to Start.
func New(opts ...Option) (*Exporter, error) {
	c := newConfig(opts)
	meter := c.provider.Meter(ScopeName, metric.WithInstrumentationVersion(exporter.Version))
	e := &Exporter{queue: newQueue(c.queue), now: profiler.Monotonic, wins: c.windows, stop: make(chan struct{}), done: make(chan struct{})}
	var err error
	if e.ins, err = newInstruments(meter); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	e.requests.init(e.ins.requestStall, e.ins.requestBlocked)
	if e.reg, err = meter.RegisterCallback(e.collect, e.ins.observables()...); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return e, nil
}

// Observe takes a fault, see profiler.WithObserver. It does not wait.
func (e *Exporter) Observe(f profiler.Fault) {
	// Where nobody reads, faults are not kept either.
	if e.ins.faultStall.Enabled(context.Background()) && !e.queue.add(f) {
		e.lost.Add(1)
	}
}

// ErrStarted says that Start was called before.
var ErrStarted = errors.New("metrics: started already: an exporter serves one profiler")

// Start begins to record what Observe takes. End it with Close.
func (e *Exporter) Start(src Source) error {
	if e.started.Swap(true) {
		return ErrStarted
	}
	e.mu.Lock()
	e.src, e.names = src, newNames(src.RegionGroup)
	e.rec = newRecorder(src, e.names, &e.ins)
	e.mu.Unlock()
	go e.work() // joined by Close
	return nil
}

func (e *Exporter) work() {
	defer close(e.done)
	for {
		select {
		case <-e.stop:
			return
		case <-e.queue.bell:
			e.record()
		}
	}
}

// record empties the queue.
func (e *Exporter) record() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.rec != nil {
		e.rec.record(e.queue.take())
	}
}

// Close records what waits and the runs that go on, and ends. The counters and gauges are gone from later
// collections, so collect, or shut the meter provider down, before. Further calls do nothing.
func (e *Exporter) Close() error {
	var err error
	e.closing.Do(func() {
		err = e.reg.Unregister()
		close(e.stop)
		if e.started.Swap(true) {
			<-e.done
			e.record()
			e.mu.Lock()
			e.rec.runs.closeAll()
			e.mu.Unlock()
		}
	})
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}
