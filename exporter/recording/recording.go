package recording

import (
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

// Recording is what a file holds. It is a value of plain data: safe for concurrent use while nobody
// changes it.
type Recording struct {
	Origin   Origin
	Snapshot *profiler.Snapshot
	// Requests are the spans that are known, in the order in which they ended: those that came in from
	// outside the process, with or without faults, and below them those on the way to faults.
	Requests []Request
	// Ended are the sums over all requests that ended, also those that are not among Requests any more.
	Ended RequestTotals
	// Memory is what the system said of the process's memory when the recording was made; empty where it says nothing.
	Memory []Figure
	// WorkingSets are what the windows of the regions showed, where there were any.
	WorkingSets []profiler.WorkingSet
	// Executables are the program and its libraries, the program first, for profiles.
	Executables []*profile.Mapping
}

// Origin says where a recording comes from and why it was made.
type Origin struct {
	Program string    // path of the executable
	Go      string    // version of the Go that built it
	System  string    // GOOS/GOARCH
	Process int       // id
	Writer  string    // version of this package
	Written time.Time // in UTC
	Reason  string    // who or what asked for it, in words
	Scope   Scope
}

// Scope says which faults a recording holds one by one. The totals are always those since the start.
type Scope string

// The scopes.
const (
	ScopeAll    Scope = "all"    // all that were kept: the first ones, and those of the flight recorder
	ScopeWindow Scope = "window" // those of the flight recorder
)

// Request is a span of the profiled service. The totals of its own are what its attributes say:
// the faults for which it was the innermost span. The totals with Tree add those of the spans below it in
// this process.
type Request struct {
	TraceID  [16]byte
	SpanID   [8]byte
	ParentID [8]byte // zero: the root of its trace
	Entry    bool    // it came in from outside the process, or is the root of its trace
	Kind     int     // go.opentelemetry.io/otel/trace.SpanKind
	Name     string
	Target   string        // what was asked for, such as the path of a URL; may be empty
	Start    time.Duration // CLOCK_MONOTONIC, as profiler.Fault.Time
	Duration time.Duration
	Failed   bool // its status is an error
	Totals
	Tree Totals
	// Blocked is for how long all Ps stood in page faults of others while it was open, see profiler.SpanStats.
	Blocked time.Duration
}

// Totals are sums over faults.
type Totals struct {
	Faults  uint64
	Touched uint64 // bytes made accessible
	Stall   time.Duration
	Max     time.Duration // longest single stall
}

func (t Totals) plus(o Totals) Totals {
	return Totals{t.Faults + o.Faults, t.Touched + o.Touched, t.Stall + o.Stall, max(t.Max, o.Max)}
}

// WallTime is the wall-clock time of a moment on CLOCK_MONOTONIC.
func (r *Recording) WallTime(mono time.Duration) time.Time {
	return r.Snapshot.Start.Add(mono - r.Snapshot.StartMono)
}
