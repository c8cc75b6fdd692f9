package summary

import (
	"time"
)

// Summary is what a person wants to know first about a profile.
type Summary struct {
	// Findings say what the rest means, the weightiest first; see package findings, which makes them.
	Findings []Finding `json:"findings"`
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	Regions  []Region  `json:"regions"`
	Callers  []Caller  `json:"callers"`       // longest stall first, at most as many as were asked for
	More     int       `json:"callers_more"`  // callers that are not listed
	Stacked  float64   `json:"stall_stacked"` // part of the stall whose stack was taken; see Caller.Estimate
	Requests Requests  `json:"requests"`
	Engine   Engine    `json:"engine"`
	// WorkingSets are of the regions that were armed again and again, and Times what happened in equal parts of the time, where asked for.
	WorkingSets []WorkingSet `json:"working_sets"`
	// Memory is what the system says of the process's memory, beside what was touched of it; empty where it says nothing.
	Memory []Figure `json:"memory"`
	Times  []Window `json:"times,omitempty"`
}

// Finding is a sentence with its numbers, where to see them, and one thing to try.
type Finding struct {
	Rule     string  `json:"rule"` // the file of package findings that has it
	Text     string  `json:"text"`
	Evidence string  `json:"evidence"` // a command, or a place in the output
	Try      string  `json:"try"`
	Weight   float64 `json:"weight"` // by which findings are ordered
}

// Region is one region of memory.
type Region struct {
	ID        uint32        `json:"id"`
	Name      string        `json:"name"`
	Label     string        `json:"label"`         // the shortest end of its path that no other region has
	Kind      string        `json:"kind"`          // arena, mapped_file, attached_file, memory, go_heap
	Granule   int           `json:"granule_bytes"` // what one fault resolves
	Size      int64         `json:"size_bytes"`    // its extent; of a file the highest offset that was ever mapped
	Mapped    int64         `json:"mapped_bytes"`  // observed now; 0 once it is not mapped any more
	Touched   int64         `json:"touched_bytes"`
	Slices    []int64       `json:"slices_touched_bytes"` // touched in each of 64 equal slices of the size
	Faults    uint64        `json:"faults"`
	Messages  uint64        `json:"messages"`
	CoTouches uint64        `json:"co_touches"` // a lower bound
	Stall     Stall         `json:"stall"`
	Blocked   time.Duration `json:"blocked_ns"`     // its part of the time in which all Ps stood in page faults
	Sources   []Source      `json:"sources"`        // by stall, those without faults left out
	Unknown   uint64        `json:"stalls_unknown"` // faults of which nobody knows how long they waited: they are in no stall
	Rearms    uint64        `json:"rearms"`
	Widened   uint64        `json:"widened_granules"`
	Left      uint64        `json:"left_pages"`      // pinned: not observed any more
	Discarded uint64        `json:"discarded_pages"` // by the owner, while only writes were observed
	Detached  bool          `json:"detached"`
	Past      int           `json:"past"` // how many regions that were closed are added up here; 0 for one by itself
	// Unseen is the longest time for which a mapping was there before it was observed: what was touched in it until then is unknown.
	Unseen time.Duration `json:"unseen_ns"`
	Note   string        `json:"note,omitempty"`
	Heap   *Heap         `json:"heap,omitempty"` // of the Go heap only
	// Observed is the share of the region that is observed at the end, and Sampling says since when, and what
	// that stands for; empty where all of it was, all the time.
	Observed float64   `json:"observed_share"`
	Sampling string    `json:"sampling,omitempty"`
	Estimate Estimate  `json:"estimate"` // of what there was; the other fields are what was seen
	Mappings []Mapping `json:"mappings,omitempty"`
}

// Ended reports whether the region is not mapped any more: Mapped is 0 then and says nothing of it.
func (r *Region) Ended() bool { return r.Mapped == 0 && r.Size > 0 }

// Whole is what the region's touched bytes are a part of: what is mapped now, or, where it is not mapped any more or a part of it that was
// touched is not, all that ever was.
func (r *Region) Whole() int64 {
	if whole := max(r.Mapped, r.TouchedSize().Bytes); whole > r.Mapped+int64(r.Granule) || r.Mapped == 0 {
		return max(r.Size, whole)
	}
	return r.Mapped
}

// Sampled reports whether a part of the region was left out, so that the estimate goes before what was seen.
func (r *Region) Sampled() bool { return r.Sampling != "" }

// Size is a number of bytes with its standard error, 0 where nothing was left out. Bytes below 0 are not known.
type Size struct{ Bytes, Error int64 }

// String is the size with its error.
func (s Size) String() string { return withError(s.Bytes, s.Error, Bytes) }

// withError writes a value with its standard error below it where it has one, or a dash for one that is not known.
func withError(n, err int64, unit func(int64) string) string {
	switch {
	case n < 0:
		return "-"
	case err == 0:
		return unit(n)
	}
	return unit(n) + " ± " + unit(err)
}

// TouchedSize is what was touched of the region, as estimated where only a part of it was observed.
func (r *Region) TouchedSize() Size {
	if !r.Sampled() {
		return Size{Bytes: r.Touched}
	}
	return Size{int64(r.Estimate.Touched), int64(r.Estimate.TouchedError)}
}

// FaultsText is how many first touches there were, as estimated where only a part of the region was observed.
func (r *Region) FaultsText() string {
	if !r.Sampled() {
		return Count(r.Faults)
	}
	return withError(int64(r.Estimate.Faults), int64(r.Estimate.FaultsError), Count[int64])
}

// StallText is the stall in all, as estimated where only a part of the region was observed.
func (r *Region) StallText() string {
	if !r.Sampled() {
		return Duration(r.Stall.Sum)
	}
	return withError(int64(r.Estimate.Stall), int64(r.Estimate.StallError), func(n int64) string { return Duration(time.Duration(n)) })
}

// Share is the part of Whole that was touched, at most 1.
func (r *Region) Share() float64 { return min(Ratio(r.TouchedSize().Bytes, r.Whole()), 1) }

// Never is what was not touched, with the error of what was.
func (r *Region) Never() Size {
	t := r.TouchedSize()
	return Size{max(r.Whole()-t.Bytes, 0), t.Error}
}

// Mapping is one address range of a region that is observed now.
type Mapping struct {
	Offset  int64         `json:"offset_bytes"`
	Length  int64         `json:"length_bytes"`
	Since   time.Duration `json:"since_ns"`   // armed that long after the start of the profile
	Latency time.Duration `json:"latency_ns"` // at most that long after it was made: touches in between are unknown
	Address string        `json:"address,omitempty"`
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
	Objects  int64   `json:"objects_bytes"`
	Unused   int64   `json:"unused_bytes"`
	Stacks   int64   `json:"stacks_bytes"`
	Free     int64   `json:"free_bytes"`
	Released int64   `json:"released_bytes"`
	Unseen   int64   `json:"unseen_bytes"`
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
	// Blocked is its part of the time in which all Ps stood in page faults.
	Blocked time.Duration `json:"blocked_ns"`
	// Estimate is what the code's share of everything is likely to be, by which callers are ranked: what was seen, with what was left
	// out of a sample, and with its part of the faults whose stack was not taken. Those are given to the code that had stacks taken
	// in the same region, of the same source and access. Of the faults without a stack it is what could not be given to anybody.
	Estimate CallerEstimate `json:"estimate"`
}

// CallerEstimate is what a Caller is likely to have in all.
type CallerEstimate struct {
	Faults float64       `json:"faults"`
	Bytes  float64       `json:"bytes"`
	Stall  time.Duration `json:"stall_ns"`
}

// Mean is the stall of a fault on average.
func (c *Caller) Mean() time.Duration { return c.Stall.Sum / time.Duration(max(c.Faults, 1)) }

// Requests sums up the requests of the service.
type Requests struct {
	Count      int `json:"count"` // of those that ended
	WithFaults int `json:"with_faults"`
	// The sums over the requests with faults: how long they took, and how much of it they waited.
	Duration time.Duration `json:"with_faults_duration_ns"`
	Stall    time.Duration `json:"with_faults_stall_ns"`
	// Kept is how many of them are known one by one: Slowest is of those.
	Kept         int       `json:"kept"`
	Slowest      []Request `json:"slowest"`             // longest first
	Attributed   uint64    `json:"attributed_faults"`   // of all faults, those of some request
	Unattributed uint64    `json:"unattributed_faults"` // of all records, those of no span
	Why          string    `json:"unattributed_why,omitempty"`
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
	Blocked  time.Duration `json:"blocked_ns"` // for how long all Ps stood in faults of others meanwhile
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

// Blocked is for how long processors of Go's scheduler (Ps) stood in page faults, see profiler.Blocked: lower bounds.
type Blocked struct {
	Procs   int           `json:"procs"`       // GOMAXPROCS
	Sum     time.Duration `json:"sum_ns"`      // added up over the Ps
	Any     time.Duration `json:"any_ns"`      // at least one stood
	All     time.Duration `json:"all_ns"`      // all did: nothing of the program ran
	GCLeast time.Duration `json:"gc_least_ns"` // stops of the garbage collector that waited for one did so at least for
	GCMost  time.Duration `json:"gc_most_ns"`  // and at most
	GCStops uint64        `json:"gc_stops"`    // stops of more than 1 ms, beside a P that stood
}

// Engine is what the profiler says of itself.
type Engine struct {
	Faults        uint64        `json:"faults"` // records + dropped
	Records       uint64        `json:"records"`
	Dropped       uint64        `json:"dropped"`
	Messages      uint64        `json:"messages"`
	LogCut        uint64        `json:"log_cut"`             // records that are only in the totals, and not known one by one
	Elsewhere     uint64        `json:"elsewhere,omitempty"` // page faults of other memory; with delivery observe alone
	Stacks        uint64        `json:"stacks"`
	StacksMissed  uint64        `json:"stacks_missed"`
	StallsUnknown uint64        `json:"stalls_unknown"` // faults whose stall nobody could tell
	Waiting       uint64        `json:"waiting"`        // threads that wait for storage longer than 250 ms now: faults not yet recorded
	StacksCut     uint64        `json:"stacks_cut"`
	Unattributed  uint64        `json:"unattributed"` // records of no span
	SpansDropped  uint64        `json:"spans_dropped"`
	ResolveErrors uint64        `json:"resolve_errors"`
	Blocked       Blocked       `json:"blocked"`     // Ps that stood in page faults
	Overhead      time.Duration `json:"overhead_ns"` // processor time of the profiler's threads and of its signal handler
	Stops         uint64        `json:"stops"`       // times that the process's other threads were stopped
	Stopped       time.Duration `json:"stopped_ns"`  // for how long, in all
	StackSampling string        `json:"stack_sampling"`
	Delivery      string        `json:"delivery"`             // of faults to the profiler: thread, signal or observe
	Observed      string        `json:"observed,omitempty"`   // how, and what that cannot see
	Placement     string        `json:"placement,omitempty"`  // where the resolver runs
	LastError     string        `json:"last_error,omitempty"` // of the last resolve that failed
	UserModeOnly  bool          `json:"user_mode_only"`
	Off           string        `json:"off,omitempty"`    // why the profiler was taken off
	Budget        string        `json:"budget,omitempty"` // its limit, what was spent, and what is reduced
	Notes         []string      `json:"notes"`            // show them next to every result
}
