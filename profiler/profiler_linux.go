//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firsttouch/firsttouch/internal/calls"
	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/pclntab"
	"github.com/firsttouch/firsttouch/internal/plain"
)

// Profiler observes the first touches of its regions. One runs in a process at a time. All
// methods are safe for concurrent use.
type Profiler struct {
	eng    *engine.Engine // nil after Close, and where page faults are observed alone
	obs    *observer      // or nil
	config config
	user   int            // effective user id at the start
	text   *pclntab.Table // nil when the binary's function table could not be read
	frames bool           // stacks have more than their innermost function

	closing     sync.Mutex // held by Close; taken before mu
	residents   sync.Mutex // held by Resident; taken before mu
	mu          sync.Mutex // held while a region is made, and guards closed; taken before foldMu
	nextID      RegionID
	closed      bool        // everything was given back
	retired     atomic.Bool // Close was called: nothing is armed any more
	ownersNoted bool        // see noteOwners
	share       float64     // of new regions that is to be observed
	finder      func(*Look) // see Watch

	regionMu sync.Mutex // guards regions; a moment
	regions  []*Region  // those that are open, by ID; replaced, never changed

	foldMu  sync.Mutex // guards the aggregate and the reading end of the ring; taken before spanMu
	gc      gcStops
	agg     *aggregate
	targets map[uint32]*engine.Target // by number, also those gone of which the ring may hold records
	stackOf map[uint32]StackID        // by the engine's number
	actors  map[StackID]Actor         // of stacks that touched the Go heap
	renamed bool                      // not all functions by which the garbage collector is told are there
	refused []calls.Refusal           // system calls that a seccomp filter refuses, each noted once
	counted []counted                 // the regions that are open
	cost    Cost                      // when it was asked for last
	health  Health                    // likewise
	watched map[RegionID][]*touches   // see Windows

	spanMu  sync.Mutex // guards what follows; taken on request goroutines, so never held for long
	binder  binder     // nil after Close
	leaving []leavingSpan
	spans   map[uint64]*spanInfo
	// spanKept is how many faults they keep.
	spanKept int
	lost     uint64 // spans that found no slot

	ending sync.WaitGroup // spans that read their totals; none begins once eng is nil

	mapsReads atomic.Int64 // of the list of mappings
	sightings sightings
	pacing    pacing

	asked chan chan struct{} // for a look now; closed after it
	due   chan struct{}      // likewise, for who does not wait
	stop  chan struct{}
	ended chan struct{} // no look comes any more
	done  sync.WaitGroup
}

// foldEvery is how often the ring is emptied. A full ring would drop records; at this pace it
// holds a million faults a second.
const foldEvery = 50 * time.Millisecond

// New starts a profiler. Where the kernel, the user or the container refuses, the error wraps
// ErrNotSupported and names what to change.
func New(opts ...Option) (*Profiler, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	var p *Profiler
	if c.delivery == DeliveryAuto {
		p, err = newBest(c)
	} else {
		p, err = start(c)
	}
	if err != nil {
		return nil, err
	}
	p.keepBudget()
	return p, nil
}

// start is New for a way that was chosen.
func start(c config) (*Profiler, error) {
	if c.delivery == DeliveryObserve {
		return newObserving(c)
	}
	if err := engine.Possible(c.delivery == DeliverySignal); err != nil { // before threads are started to look at
		return nil, fmt.Errorf("start the fault engine: %w", err)
	}
	text, textErr := functionTable()
	known := engine.MeasureGoRuntime(text, c.delivery == DeliverySignal)
	if forget != nil {
		forget(&known)
	}
	eng, err := engine.Start(engine.Config{
		Ring: c.ring, StackEvery: int(c.stacks.every), StackRate: int(c.stacks.perSec), Signal: c.signal, StopLimit: c.stopLimit,
		Signals: c.delivery == DeliverySignal, UserMode: c.failing, Go: known,
	})
	if errors.Is(err, engine.ErrUserModeOnly) {
		return nil, &userModeOnly{waysToFullService()}
	}
	if err != nil {
		return nil, fmt.Errorf("start the fault engine: %w", err)
	}
	p := newUnstarted(c, text, known)
	p.eng, p.binder = eng, eng
	p.lookProcs()
	p.agg.stats.UserModeOnly = eng.UserModeOnly()
	if n := p.failingNote(); n != "" {
		p.note("%s", n) // before all others
	}
	p.noteGo(known, textErr)
	if c.delivery == DeliveryThread && !eng.Follows() {
		p.note("without CAP_SYS_NICE the resolver is placed by the scheduler, and faults cost more when CPUs are idle")
	}
	p.foldMu.Lock()
	p.noteRefused()
	p.foldMu.Unlock()
	p.done.Go(p.foldLoop)
	p.done.Go(p.lookLoop)
	return p, nil
}

// newUnstarted makes a profiler that nothing was started for yet.
func newUnstarted(c config, text *pclntab.Table, known engine.GoRuntime) *Profiler {
	p := &Profiler{
		config: c, user: os.Geteuid(), agg: newAggregate(c.logLimit),
		targets: make(map[uint32]*engine.Target), stackOf: make(map[uint32]StackID), actors: make(map[StackID]Actor),
		spans: make(map[uint64]*spanInfo), stop: make(chan struct{}), ended: make(chan struct{}), sightings: sightings{tried: make(map[uint64]time.Duration)}, asked: make(chan chan struct{}), due: make(chan struct{}, 1), share: 1,
		text: text, frames: known.Frames,
	}
	p.agg.start, p.agg.mono = time.Now(), engine.Now()
	p.agg.stats.StackSampling = c.stacks.String()
	p.agg.stats.Delivery = c.delivery.String()
	return p
}

// maxNotes bounds the notes of the engine.
const maxNotes = 64

// note reports something that the user of a result has to know.
func (p *Profiler) note(format string, args ...any) {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	p.noteLocked(format, args...)
}

// noteLocked is note for who holds foldMu.
func (p *Profiler) noteLocked(format string, args ...any) {
	n := &p.agg.stats.Notes
	p.noteAt(len(*n), format, args...)
}

// noteFirstLocked is noteLocked for what has to be read, however much was noted before.
func (p *Profiler) noteFirstLocked(format string, args ...any) { p.noteAt(0, format, args...) }

func (p *Profiler) noteAt(i int, format string, args ...any) {
	n := &p.agg.stats.Notes
	text := plain.Valid(fmt.Sprintf(format, args...))
	if slices.Contains(*n, text) {
		return
	}
	if *n = slices.Insert(slices.Clone(*n), i, text); len(*n) > maxNotes { // snapshots have the other one
		const more = "there are more notes: the events have the latest of them"
		*n = append((*n)[:maxNotes-1], more)
	}
	p.agg.event(engine.Now(), EventNote, "", text, 1)
}

// Close gives every region back as plain memory and stops the engine. The memory of arenas and
// mapped files stays where it is until their Region.Close, since the service may go on using it. When a region cannot be given
// back now (ErrBusy), it stays served, the error says so, and Close may be called again. From the first call on nothing
// is armed, and nothing is armed again: what would do so answers ErrClosed.
func (p *Profiler) Close() error {
	p.closing.Lock()
	defer p.closing.Unlock()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.retired.Store(true) // no region comes after those that are closed here
	p.mu.Unlock()
	together, errs := p.lockTogether(func(r *Region) error { return r.detach() })
	errs = append(errs, p.detachAll(together, nil))
	unlock(together)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	close(p.stop)
	p.done.Wait() // without mu, which the loops take
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	if p.obs != nil {
		p.foldObserved(true)
	}
	p.fold()
	p.collect()
	// Spans may still end after this: they find the engine gone.
	p.spanMu.Lock()
	eng := p.eng
	p.eng, p.binder = nil, nil
	p.spanMu.Unlock()
	p.ending.Wait()
	if p.obs != nil {
		return p.obs.close()
	}
	return eng.Stop()
}
