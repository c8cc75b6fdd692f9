package recording

import (
	"math"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// FlightConfig bounds a Flight. Both are hints, as those of runtime/trace.FlightRecorderConfig are.
type FlightConfig struct {
	// MinAge is how old a fault or request is at least when it is forgotten. The default is 10
	// seconds.
	MinAge time.Duration
	// MaxBytes bounds the memory, and goes before MinAge. The default is 8 MiB, which holds some
	// 70,000 faults.
	MaxBytes int
}

// The defaults of FlightConfig.
const (
	DefaultMinAge   = 10 * time.Second
	DefaultMaxBytes = 8 << 20
)

// requestShare is the part of the memory that is for requests.
const requestShare = 4

// Flight is a flight recorder: it holds the latest faults and requests of this process. It is fed by
// profiler.WithObserver and by the span processor of Processor. It is safe for concurrent use.
type Flight struct {
	clock   clock
	request func(*Request) // or nil

	mu       sync.Mutex // guards what follows
	faults   window[profiler.Fault]
	requests window[Request]
	below    map[spanKey]Totals // of the spans that ended below one that has not
	ended    RequestTotals      // since the start
}

// NewFlight returns an empty flight recorder. Where onRequest is not nil it is called for each request
// that has ended, on the request's goroutine.
func NewFlight(c FlightConfig, onRequest func(*Request)) *Flight {
	if c.MinAge <= 0 {
		c.MinAge = DefaultMinAge
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	forRequests := c.MaxBytes / requestShare
	return &Flight{
		clock: newClock(), request: onRequest, below: make(map[spanKey]Totals),
		faults: window[profiler.Fault]{
			minAge: c.MinAge, most: c.MaxBytes - forRequests, item: int(reflect.TypeFor[profiler.Fault]().Size()),
			when: func(f *profiler.Fault) time.Duration { return f.Time }, extra: func(*profiler.Fault) int { return 0 },
		},
		requests: window[Request]{
			minAge: c.MinAge, most: forRequests, item: int(reflect.TypeFor[Request]().Size()),
			when:  func(r *Request) time.Duration { return r.Start + r.Duration },
			extra: func(r *Request) int { return len(r.Name) + len(r.Target) },
		},
	}
}

// Observe keeps a fault, see profiler.WithObserver.
func (f *Flight) Observe(fault profiler.Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults.add(fault)
}

// Recording puts a snapshot of the observed profiler, just taken, together with what the flight recorder
// holds.
func (f *Flight) Recording(s *profiler.Snapshot, scope Scope, reason string) *Recording {
	f.mu.Lock()
	// The observer saw every record in turn. What came after the snapshot is not in its totals.
	faults := f.faults.held(s.Stats.Records)
	requests, ended := f.requests.held(math.MaxUint64), f.ended
	f.mu.Unlock()
	// The log is the snapshot's, and names its regions. What was held may be of one that was added to another since.
	faults = slices.DeleteFunc(faults, func(f profiler.Fault) bool { return !s.Has(f.Region) })
	for i := range faults {
		faults[i].Region = s.RegionOf(faults[i].Region).ID
	}
	c := *s
	if scope == ScopeWindow {
		c.Faults = faults
	} else {
		c.Faults = join(s.Faults, faults)
	}
	c.Stats.LogCut = c.Stats.Records - uint64(len(c.Faults))
	r := New(&c, reason)
	r.Origin.Scope, r.Requests, r.Ended = scope, requests, ended
	return r
}

// Ended returns the sums over all requests that ended until now.
func (f *Flight) Ended() RequestTotals {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended
}

// RequestsSince returns the requests that are held and ended after a moment on CLOCK_MONOTONIC.
func (f *Flight) RequestsSince(mono time.Duration) []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(f.requests.held(math.MaxUint64), func(r Request) bool { return r.Start+r.Duration < mono })
}

// join appends what is later than the log.
func join(log, latest []profiler.Fault) []profiler.Fault {
	if len(log) > 0 {
		last := log[len(log)-1].Seq
		latest = latest[max(0, slices.IndexFunc(latest, func(f profiler.Fault) bool { return f.Seq > last })):]
		if len(latest) > 0 && latest[0].Seq <= last {
			return log
		}
	}
	return append(slices.Clip(log), latest...)
}
