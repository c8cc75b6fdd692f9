package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firsttouch/firsttouch/exporter/metrics"
	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/traces"
	"github.com/firsttouch/firsttouch/internal/endpoint"
	"github.com/firsttouch/firsttouch/profiler"
)

// Agent is a profiler wired into a service. Its methods are safe for concurrent use, and every one
// of them also works on an agent that does nothing.
type Agent struct {
	cfg     config
	prof    *profiler.Profiler // nil where the agent does nothing
	reason  string             // why it does nothing, or empty
	failing string             // what of the service can fail because of it, or empty
	started time.Time
	metrics *metrics.Exporter // nil where there are none
	lookout *lookout          // nil without patterns of files
	debug   *endpoint.Server  // nil where nothing is listened on
	guard   *endpoint.Guard   // in front of the handler
	flight  *recording.Flight
	figures *figures
	files   *recorder // nil where no recordings are written to files
	journal *journal  // nil without a logger
	ahead   *prefetcher
	// windows holds nil where regions are not armed again and again, and until they are: metrics may be
	// collected from the moment on that the instruments are there.
	windows atomic.Pointer[windows]

	// window is held by the one request that records a window: two of them would re-arm
	// each other's regions.
	window chan struct{}
	// stop ends what waits, such as a recording of a window.
	stop context.Context
	quit context.CancelFunc

	off     atomic.Pointer[off] // nil while the profiler is not taken off
	offCh   chan struct{}       // closed then
	leaving sync.WaitGroup      // the fuse, and what gives memory back

	arming      sync.Mutex // held by who ends what arms memory; guards armingEnded
	armingEnded bool

	mu         sync.Mutex
	regions    []*profiler.Region
	shadowed   map[*Arena]string // names of those that are plain memory because of the shadow
	processors []*traces.Processor
	notes      []string
	gaveBack   map[string]bool // names of regions that are not to be observed any more, see SafeWriter
	ending     *ending         // what Shutdown does, or nil before it, and after a try that failed

	last *recording.Recording // to be written at the end, or nil; for the goroutine of ending alone
}

// Start reads the options and the FIRSTTOUCH_ variables and begins to profile. ctx bounds the
// start only; end the agent with Shutdown.
//
// It does not wait for the first look at what is mapped, which begins right then and takes the longer the more mappings
// there are: a service that wants the first touches of files that it has mapped by now calls Look before it touches them.
//
// Where the kernel, the user or the container refuses, the agent does nothing, Reason says why and
// what to change, and the error is nil unless it was Required. A value that cannot be used, from
// an option or a variable, is always an error, and so is a debug address that cannot be listened
// on. Together with an error, too, Start returns an agent that does nothing: a service may report
// the error and go on.
func Start(ctx context.Context, opts ...Option) (*Agent, error) {
	cfg, notes, err := newConfig(os.Environ(), opts)
	a := newAgent(cfg, notes)
	if err != nil {
		return a.fail(err)
	}
	if err := ctx.Err(); err != nil {
		return a.fail(err)
	}
	if cfg.disabled {
		a.reason = "switched off by the option Disabled or the variable FIRSTTOUCH_DISABLED"
	} else if cfg.shadow && cfg.delivery != profiler.DeliveryObserve {
		// Nothing is started: see Shadow.
	} else if err := a.profile(); err != nil {
		if cfg.required || errors.Is(err, profiler.ErrInvalid) {
			return a.fail(err)
		}
		a.reason = err.Error()
	}
	if (cfg.ahead.order != "" || cfg.ahead.learn != "") && !cfg.disabled && !cfg.shadow {
		a.ahead = startPrefetch(a.stop, cfg.ahead, a.prof)
	}
	if cfg.debugAddr != "" {
		// An agent that does nothing serves its page too: the reason is what one looks for there.
		if err := a.listen(ctx); err != nil {
			return a.fail(errors.Join(err, a.Shutdown(context.WithoutCancel(ctx))))
		}
	}
	if cfg.log != nil {
		var looked <-chan struct{}
		if a.lookout != nil {
			looked = a.lookout.first
		}
		a.journal = startJournal(cfg.log, func() (string, bool) { return a.Status(), len(a.owned()) > 0 }, a.prof != nil, a.failing, a.Notes, a.stop.Done(), a.offCh, looked)
	}
	if a.prof != nil {
		a.startFuse()
	}
	return a, nil
}

func newAgent(cfg config, notes []string) *Agent {
	stop, quit := context.WithCancel(context.Background())
	a := &Agent{cfg: cfg, notes: notes, started: time.Now(), window: make(chan struct{}, 1),
		stop: stop, quit: quit, offCh: make(chan struct{}), shadowed: make(map[*Arena]string)}
	a.guard = a.newGuard()
	return a
}

// fail makes an agent that never started say why.
func (a *Agent) fail(err error) (*Agent, error) {
	err = fmt.Errorf("firsttouch agent: %w", err)
	inert := newAgent(config{token: a.cfg.token}, nil)
	inert.reason = err.Error()
	return inert, err
}

// profile starts the profiler, and the lookout for the configured files.
func (a *Agent) profile() error {
	var slow func(*recording.Request)
	if a.cfg.recordDir != "" {
		files, err := newRecorder(a.cfg.recordDir, a.cfg.recordSlow)
		if err != nil {
			return fmt.Errorf("%w: %w", profiler.ErrInvalid, err)
		}
		a.files, slow = files, files.ended
		files.make = a.recorded
	}
	a.flight, a.figures = recording.NewFlight(a.cfg.flight, slow), newFigures("/")
	opts := append(a.cfg.engine, profiler.WithObserver(a.flight.Observe))
	if err := a.meter(); err != nil {
		a.files = nil
		return err
	}
	if a.cfg.failing {
		opts = append(opts, profiler.WithFailingSystemCalls())
	}
	if a.metrics != nil {
		opts = append(opts, profiler.WithObserver(a.metrics.Observe))
	}
	p, err := profiler.New(opts...)
	if err != nil {
		a.files = nil
		return errors.Join(err, a.unmeter())
	}
	stats := p.Snapshot().Stats
	if stats.UserModeOnly { // its first note says what can fail
		a.failing = stats.Notes[0]
	}
	observes := stats.Delivery == profiler.DeliveryObserve.String()
	if a.cfg.windows > 0 && observes {
		a.note("no windows are made (FIRSTTOUCH_WINDOWS): with delivery observe nothing is armed, and so nothing again")
	} else if a.cfg.windows > 0 {
		a.windows.Store(startWindows(p, a.cfg.windows, a.windowsEnded))
	}
	if err := a.attachHeap(p); err != nil {
		a.files = nil
		if w := a.windows.Swap(nil); w != nil {
			w.join()
		}
		return errors.Join(err, p.Close(), a.unmeter())
	}
	a.prof = p
	if a.metrics != nil {
		if err := a.metrics.Start(p); err != nil {
			return err
		}
	}
	if a.files != nil {
		a.files.start()
	}
	if len(a.cfg.files) > 0 {
		a.lookout = newLookout(a.cfg.files, func(l *profiler.Look, files []profiler.FoundFile) ([]*profiler.Region, []error) {
			if !a.observes() {
				errs := make([]error, len(files))
				for i, f := range files {
					errs[i] = a.refused(f.Path)
				}
				return make([]*profiler.Region, len(files)), errs
			}
			regions, errs := l.AttachFiles(files)
			a.own(slices.DeleteFunc(slices.Clone(regions), func(r *profiler.Region) bool { return r == nil })...)
			return regions, errs
		})
		a.lookout.givenBack = a.isGivenBack
		a.lookout.careful, a.lookout.group = stats.UserModeOnly, a.cfg.grouping
		p.Watch(a.lookout.look)
	}
	return nil
}

// Profiler is the engine under the agent, or nil where the agent does nothing.
func (a *Agent) Profiler() *profiler.Profiler { return a.prof }

// Notes are the agent's own reports, a line each, fit for a log, such as a pattern of WithFiles that no mapping
// matches. Where system calls of the service can fail because of the profiler (WithFailingSystemCalls, and
// delivery by signal), the first one says so. What
// the profiler reports is in Snapshot.Stats.Notes; the page and the JSON snapshot have both.
func (a *Agent) Notes() []string {
	var notes []string
	if a.failing != "" {
		notes = append(notes, a.failing)
	}
	a.mu.Lock()
	notes = append(notes, a.notes...)
	if n := a.lostBursts(); n > 0 {
		notes = append(notes, fmt.Sprintf("%d spans have no page_fault.burst children, since the trace backend was too slow; their own attributes are exact", n))
	}
	a.mu.Unlock()
	notes = append(a.offNotes(), notes...)
	if a.lookout != nil {
		notes = append(notes, a.lookout.notes()...)
		if every := a.looksOnly(); every > 0 {
			notes = append(notes, fmt.Sprintf("the mappings of this process are looked at only every %v, where every %v was asked for: "+
				"reading their list takes long, or the processors are busy. New mappings are found that late, and what is touched before is unknown",
				every, a.cfg.rescan))
		}
	}
	if a.debug != nil {
		notes = append(notes, a.debug.Notes()...)
	}
	if a.files != nil {
		notes = append(notes, a.files.notes()...)
	}
	if a.prof != nil {
		if b := a.prof.Budget(); b.Cuts > 0 {
			notes = append(notes, fmt.Sprintf("budget of %s: %s; %d cuts, %d raises so far", b.Limit, b.State, b.Cuts, b.Raises))
		}
	}
	if a.ahead != nil {
		notes = append(notes, a.ahead.notes()...)
	}
	if n := a.silence(); n != "" {
		notes = append(notes, n)
	}
	return notes
}

// joinNotes puts the notes of several together, each once: what the profiler says first the agent does too.
func joinNotes(lists ...[]string) []string {
	all := []string{}
	for _, n := range slices.Concat(lists...) {
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

// Looks count as late when they come this much later than they were asked for, and not as often as this.
const (
	lateFactor = 4
	lateFrom   = 500 * time.Millisecond
)

// looksOnly is how often the mappings are looked at where that is much less often than was asked for, and 0 otherwise.
func (a *Agent) looksOnly() time.Duration {
	if _, every := a.prof.Looks(); a.observes() && every > max(lateFactor*a.cfg.rescan, lateFrom) {
		return every.Round(10 * time.Millisecond)
	}
	return 0
}

// notesMost bounds the agent's own notes. What repeats itself is one note already.
const notesMost = 256

func (a *Agent) note(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := fmt.Sprintf(format, args...); !slices.Contains(a.notes, n) && len(a.notes) < notesMost {
		a.notes = append(a.notes, n)
	}
}
