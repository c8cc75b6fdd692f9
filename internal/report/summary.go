package report

import "time"

// Summary is what a person wants to know first about a profile.
type Summary struct {
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	Regions  []Region  `json:"regions"`
	Callers  []Caller  `json:"callers"` // longest stall first, at most as many as were asked for
	Requests Requests  `json:"requests"`
	Engine   Engine    `json:"engine"`
}

// Region is one region of memory.
type Region struct {
	Name      string   `json:"name"`
	Granule   int      `json:"granule_bytes"` // what one fault resolves
	Size      int64    `json:"size_bytes"`
	Mapped    int64    `json:"mapped_bytes"`
	Touched   int64    `json:"touched_bytes"`
	Faults    uint64   `json:"faults"`
	Messages  uint64   `json:"messages"`
	CoTouches uint64   `json:"co_touches"` // a lower bound
	Stall     Stall    `json:"stall"`
	Sources   []Source `json:"sources"` // by stall, those without faults left out
	Widened   uint64   `json:"widened_granules"`
	Left      uint64   `json:"left_pages"`      // pinned: not observed any more
	Discarded uint64   `json:"discarded_pages"` // by the owner, while only writes were observed
	Note      string   `json:"note,omitempty"`
	Heap      *Heap    `json:"heap,omitempty"` // of the Go heap only
	// Observed is the share of the region that is observed at the end, and Sampling says since when, and what
	// that stands for; empty where all of it was, all the time.
	Observed float64  `json:"observed_share"`
	Sampling string   `json:"sampling,omitempty"`
	Estimate Estimate `json:"estimate"` // of what there was; the other fields are what was seen
}

// Estimate is what there was, by estimate from what was observed, with standard errors; but for a time in which nothing
// was observed.
type Estimate struct {
	Faults       float64       `json:"faults"`
	FaultsError  float64       `json:"faults_error"`
	Touched      float64       `json:"touched_bytes"`
	TouchedError float64       `json:"touched_bytes_error"`
	Stall        time.Duration `json:"stall_ns"`
	StallError   time.Duration `json:"stall_ns_error"`
	Paused       time.Duration `json:"paused_ns"`
}

// Stall describes how long first touches waited: the sum over threads, so that it can be more than
// the time that passed.
type Stall struct {
	Sum time.Duration `json:"sum_ns"`
	Max time.Duration `json:"max_ns"`
	// Quantiles are nil where they are not known.
	Quantiles *Quantiles `json:"quantiles,omitempty"`
}

// Quantiles are upper bounds, at most 1/16 too high.
type Quantiles struct {
	P50 time.Duration `json:"p50_ns"`
	P99 time.Duration `json:"p99_ns"`
}

// Heap is what there is of the Go heap besides: its blocks of 2 MiB, of which a share is observed, and what
// follows from those for all of it. Sizes are in bytes.
type Heap struct {
	Share    float64 `json:"share"`
	Blocks   int     `json:"blocks"`
	Observed int     `json:"observed_blocks"`
	Size     int64   `json:"size_bytes"`
	InUse    int64   `json:"in_use_bytes"` // by objects and stacks
	Released int64   `json:"released_bytes"`
	Touched  int64   `json:"estimated_touched_bytes"`
	Stderr   *int64  `json:"estimated_touched_stderr_bytes,omitempty"` // nil: it cannot be told
	Actors   []Actor `json:"actors"`                                   // of the observed blocks, by bytes
}

// Actor is what the program, the garbage collector and others touched first.
type Actor struct {
	Name   string        `json:"actor"` // program, gc, runtime, profiler, unknown
	Faults uint64        `json:"faults"`
	Bytes  uint64        `json:"bytes"`
	Stall  time.Duration `json:"stall_ns"`
}

// Source is the part of a region's faults whose contents came from one place.
type Source struct {
	Name   string `json:"name"` // zero, page_cache, disk, memory, unknown
	Faults uint64 `json:"faults"`
	Stall  Stall  `json:"stall"`
}

// Caller is one place in the code that touched memory first.
type Caller struct {
	Function string `json:"function"` // innermost one outside the runtime; empty: no stack was taken
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	// From had it done: the innermost function outside Function's package, and outside the library
	// that its package is an internal part of; where there is none, the outermost function.
	From   string `json:"from,omitempty"`
	Faults uint64 `json:"faults"`
	Bytes  uint64 `json:"bytes"`
	Stall  Stall  `json:"stall"`
}

// Requests sums up the requests of the service.
type Requests struct {
	Count      int `json:"count"`
	WithFaults int `json:"with_faults"`
	// The sums over the requests with faults: how long they took, and how much of it they waited.
	Duration     time.Duration `json:"with_faults_duration_ns"`
	Stall        time.Duration `json:"with_faults_stall_ns"`
	Slowest      []Request     `json:"slowest"`             // longest first
	Attributed   uint64        `json:"attributed_faults"`   // of all faults, those of some request
	Unattributed uint64        `json:"unattributed_faults"` // of all records, those of no span
}

// Request is one request as its span tells it.
type Request struct {
	TraceID  string        `json:"trace_id"` // hexadecimal
	SpanID   string        `json:"span_id"`
	Name     string        `json:"name"`   // of the span
	Target   string        `json:"target"` // what was asked for
	Start    time.Time     `json:"start"`
	Duration time.Duration `json:"duration_ns"`
	Faults   int64         `json:"faults"`
	Stall    time.Duration `json:"stall_ns"` // the sum over its goroutines
	StallMax time.Duration `json:"stall_max_ns"`
	Touched  int64         `json:"touched_bytes"`
}

// StallShare is the part of the request's time that its goroutines waited for first touches. It is
// above 1 where several of them waited at once.
func (r Request) StallShare() float64 {
	if r.Duration <= 0 {
		return 0
	}
	return float64(r.Stall) / float64(r.Duration)
}

// Label is what a person knows the request by: what was asked for, or the span's name where it says nothing of that, as
// those of jobs, databases and gRPC.
func (r Request) Label() string {
	if r.Target == "" {
		return r.Name
	}
	return r.Target
}

// Engine is what the profiler says of itself.
type Engine struct {
	Faults        uint64        `json:"faults"`
	Records       uint64        `json:"records"`
	Dropped       uint64        `json:"dropped"`
	Messages      uint64        `json:"messages"`
	Elsewhere     uint64        `json:"elsewhere,omitempty"` // page faults of other memory; with delivery observe alone
	Stacks        uint64        `json:"stacks"`
	StacksMissed  uint64        `json:"stacks_missed"`
	StallsUnknown uint64        `json:"stalls_unknown"`
	Waiting       uint64        `json:"waiting"`
	StacksCut     uint64        `json:"stacks_cut"`
	SpansDropped  uint64        `json:"spans_dropped"`
	ResolveErrors uint64        `json:"resolve_errors"`
	Overhead      time.Duration `json:"overhead_ns"` // processor time of the profiler's threads
	Stops         uint64        `json:"stops"`       // times that the process's other threads were stopped
	Stopped       time.Duration `json:"stopped_ns"`  // for how long, in all
	StackSampling string        `json:"stack_sampling"`
	Delivery      string        `json:"delivery"`            // of faults to the profiler: thread, signal or observe
	Placement     string        `json:"placement,omitempty"` // where the resolver runs
	UserModeOnly  bool          `json:"user_mode_only"`
	Off           string        `json:"off,omitempty"`    // why the profiler was taken off
	Budget        string        `json:"budget,omitempty"` // its limit, what was spent, and what is reduced
	Notes         []string      `json:"notes"`
}
