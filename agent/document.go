package agent

import (
	"iter"
	"time"
)

// DocumentSchema names the form of Document. Fields may be added under the same name; a field
// that changes its meaning or goes changes the name.
const DocumentSchema = "firsttouch/snapshot/v1"

// Document is the JSON snapshot of the handler. Sizes and places are bytes, durations and times
// nanoseconds, as the names say. Places are offsets into a region (for a file: into the file);
// addresses are there only when asked for.
type Document struct {
	Schema string `json:"schema"` // DocumentSchema
	// Active is false where the agent does nothing, or not any more; Reason then says why. The rest is what was seen.
	Active bool   `json:"active"`
	Reason string `json:"reason,omitempty"`
	// Shadow is there where the agent is in shadow: what it would arm.
	Shadow *Shadow `json:"shadow,omitempty"`
	// Notes are the reports of the agent and the profiler: show them next to every result.
	Notes   []string         `json:"notes"`
	Start   time.Time        `json:"start"`
	End     time.Time        `json:"end"`
	Regions []DocumentRegion `json:"regions"`
	Groups  []DocumentGroup  `json:"groups"` // longest stall first
	Stacks  []DocumentStack  `json:"stacks"` // those that the groups and faults refer to, by id
	Threads []DocumentThread `json:"threads"`
	Faults  []DocumentFault  `json:"faults"` // in claim order, as many as were asked for
	Stats   DocumentStats    `json:"stats"`

	faults iter.Seq[DocumentFault] // those of a document whose Faults are empty, or nil
}

// DocumentRegion is one region, see profiler.RegionStats.
type DocumentRegion struct {
	ID           uint32            `json:"id"`
	Name         string            `json:"name"`
	Kind         string            `json:"kind"` // arena, mapped_file, attached_file, memory
	GranuleBytes int               `json:"granule_bytes"`
	SizeBytes    int64             `json:"size_bytes"`
	MappedBytes  int64             `json:"mapped_bytes"`
	TouchedBytes int64             `json:"touched_bytes"`
	Slices       []int64           `json:"slices_touched_bytes"` // touched in each of 64 equal slices of the size
	Faults       uint64            `json:"faults"`
	Messages     uint64            `json:"messages"`
	CoTouches    uint64            `json:"co_touches"` // a lower bound
	Stall        DocumentStall     `json:"stall"`
	Disk         DocumentStall     `json:"disk_stall"` // the part whose page came from storage
	Rearms       uint64            `json:"rearms"`
	Widened      uint64            `json:"widened"`
	Left         uint64            `json:"left_pages"`      // pinned: not observed any more
	Discarded    uint64            `json:"discarded_pages"` // their writes are not seen until the region is armed again
	Detached     bool              `json:"detached"`
	Mappings     []DocumentMapping `json:"mappings"`
	// UnseenNS is the longest latency of the mappings: what was touched in them before is unknown. 0 where each was there when the
	// file was attached, or is the profiler's own.
	UnseenNS int64         `json:"unseen_ns"`
	Note     string        `json:"note,omitempty"`
	Heap     *DocumentHeap `json:"heap,omitempty"` // of the Go heap only
	// What was left out, see profiler.RegionStats.Sampling; the other fields are what was seen.
	ObservedShare float64          `json:"observed_share"` // 1: all of it
	Sampling      string           `json:"sampling,omitempty"`
	Estimate      DocumentEstimate `json:"estimate"`
}

// DocumentEstimate is what there was, by estimate from what is observed, with standard errors; see
// profiler.Estimate. PausedNS is for how long nothing was observed: what happened then is in no field.
type DocumentEstimate struct {
	Faults       float64 `json:"faults"`
	FaultsError  float64 `json:"faults_error"`
	TouchedBytes float64 `json:"touched_bytes"`
	TouchedError float64 `json:"touched_bytes_error"`
	StallNS      int64   `json:"stall_ns"`
	StallErrorNS int64   `json:"stall_ns_error"`
	PausedNS     int64   `json:"paused_ns"`
}

// DocumentHeap is what there is of the Go heap besides, see profiler.HeapStats. The touched bytes of all of it are
// estimated from the blocks that are observed; without a standard error it cannot be stated.
type DocumentHeap struct {
	Share              float64         `json:"share"`
	Blocks             int             `json:"blocks"`
	Observed           int             `json:"observed_blocks"`
	ObjectsBytes       int64           `json:"objects_bytes"`
	UnusedBytes        int64           `json:"unused_bytes"`
	StacksBytes        int64           `json:"stacks_bytes"`
	FreeBytes          int64           `json:"free_bytes"`
	ReleasedBytes      int64           `json:"released_bytes"`
	UnseenBytes        int64           `json:"unseen_bytes"`
	TouchedBytes       int64           `json:"estimated_touched_bytes"`
	TouchedStderrBytes *int64          `json:"estimated_touched_stderr_bytes,omitempty"`
	Actors             []DocumentActor `json:"actors"` // of the observed blocks, by bytes
}

// DocumentActor is what one of program, gc, runtime, profiler and unknown touched first.
type DocumentActor struct {
	Actor   string `json:"actor"`
	Faults  uint64 `json:"faults"`
	Bytes   uint64 `json:"bytes"`
	StallNS int64  `json:"stall_ns"`
}

// DocumentMapping is one address range of a region that is observed now.
type DocumentMapping struct {
	OffsetBytes int64  `json:"offset_bytes"`
	LengthBytes int64  `json:"length_bytes"`
	SinceNS     int64  `json:"since_ns"`   // armed that long after the start of the document
	LatencyNS   int64  `json:"latency_ns"` // at most that long after it was made: touches in between are unknown
	Address     string `json:"address,omitempty"`
}

// DocumentStall sums up stalls. Quantiles are upper bounds, at most 1/16 too high.
type DocumentStall struct {
	Count uint64 `json:"count"`
	SumNS int64  `json:"sum_ns"`
	MaxNS int64  `json:"max_ns"`
	P50NS int64  `json:"p50_ns"`
	P99NS int64  `json:"p99_ns"`
}

// DocumentGroup is the exact total of the faults that share region, stack, access, source and actor.
type DocumentGroup struct {
	Region  uint32 `json:"region"`
	Stack   uint32 `json:"stack"` // 0: no stack was taken
	Access  string `json:"access"`
	Source  string `json:"source"`
	Actor   string `json:"actor,omitempty"` // of the Go heap: program, gc, runtime, profiler, unknown
	Faults  uint64 `json:"faults"`
	Bytes   uint64 `json:"bytes"`
	StallNS int64  `json:"stall_ns"`
	MaxNS   int64  `json:"max_ns"`
}

// DocumentStack is one call stack, leaf first, inlined calls included.
type DocumentStack struct {
	ID     uint32          `json:"id"`
	Frames []DocumentFrame `json:"frames"`
}

// DocumentFrame is one call.
type DocumentFrame struct {
	Function string `json:"function"`
	File     string `json:"file"`
	Line     int    `json:"line"`
}

// DocumentThread is the total of one thread.
type DocumentThread struct {
	Thread  int32  `json:"thread"` // kernel thread id
	Faults  uint64 `json:"faults"`
	StallNS int64  `json:"stall_ns"`
}

// DocumentFault is one first touch, see profiler.Fault.
type DocumentFault struct {
	Seq         uint64 `json:"seq"`
	TimeNS      int64  `json:"time_ns"` // since the start of the document
	Region      uint32 `json:"region"`
	OffsetBytes int64  `json:"offset_bytes"`
	StallNS     int64  `json:"stall_ns"`
	Wait        string `json:"wait,omitempty"` // how stall_ns is known where it was not measured: "at most" or "unknown"
	Access      string `json:"access"`
	Source      string `json:"source"`
	Actor       string `json:"actor,omitempty"` // of the Go heap
	Thread      int32  `json:"thread"`
	Goroutine   uint64 `json:"goroutine"` // 0: unknown
	Stack       uint32 `json:"stack"`
	Messages    uint32 `json:"messages"`
	TraceID     string `json:"trace_id,omitempty"` // of the span that it counts for
	SpanID      string `json:"span_id,omitempty"`
	Address     string `json:"address,omitempty"`
}

// DocumentStats is what the profiler says of itself, see profiler.Stats.
type DocumentStats struct {
	Faults        uint64 `json:"faults"` // records + dropped
	Messages      uint64 `json:"messages"`
	Records       uint64 `json:"records"`
	Dropped       uint64 `json:"dropped"`
	LogCut        uint64 `json:"log_cut"`
	Elsewhere     uint64 `json:"elsewhere,omitempty"` // page faults of memory that no region has; with delivery observe alone
	Stacks        uint64 `json:"stacks"`
	StacksMissed  uint64 `json:"stacks_missed"`
	StallsUnknown uint64 `json:"stalls_unknown"` // faults whose stall nobody could tell: their stall_ns is 0
	Waiting       uint64 `json:"waiting"`        // threads that wait for storage longer than 250 ms now: faults not yet recorded
	StacksCut     uint64 `json:"stacks_cut"`
	Unattributed  uint64 `json:"unattributed"`
	SpansDropped  uint64 `json:"spans_dropped"`
	ResolveErrors uint64 `json:"resolve_errors"`
	OverheadNS    int64  `json:"overhead_ns"` // processor time of the profiler's threads
	Stops         uint64 `json:"stops"`       // times that the process's other threads were stopped
	StoppedNS     int64  `json:"stopped_ns"`  // for how long, in all
	StackSampling string `json:"stack_sampling"`
	Delivery      string `json:"delivery"`             // of faults to the profiler: thread, signal or observe
	Placement     string `json:"placement,omitempty"`  // where the resolver runs
	LastError     string `json:"last_error,omitempty"` // of the last resolve that failed
	UserModeOnly  bool   `json:"user_mode_only"`
	Off           string `json:"off,omitempty"`    // why the profiler was taken off
	Budget        string `json:"budget,omitempty"` // its limit, what was spent, and what is reduced
}
