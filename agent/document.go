package agent

import (
	"iter"

	"github.com/firsttouch/firsttouch/exporter/summary"
)

// DocumentSchema names the form of Document. Fields may be added under the same name; a field
// that changes its meaning or goes changes the name.
const DocumentSchema = "firsttouch/snapshot/v2"

// Document is the JSON snapshot of the handler: the Summary that every view shows, and what it is made of. Sizes and places are bytes,
// durations and times nanoseconds, as the names say. Places are offsets into a region (for a file: into the file);
// addresses are there only when asked for.
type Document struct {
	Schema string `json:"schema"` // DocumentSchema
	// Active is false where the agent does nothing, or not any more; Reason then says why. The rest is what was seen.
	Active bool   `json:"active"`
	Reason string `json:"reason,omitempty"`
	// Shadow is there where the agent is in shadow: what it would arm.
	Shadow *Shadow `json:"shadow,omitempty"`
	summary.Summary
	Groups  []DocumentGroup  `json:"groups"` // longest stall first
	Stacks  []DocumentStack  `json:"stacks"` // those that the groups and faults refer to, by id
	Threads []DocumentThread `json:"threads"`
	Faults  []DocumentFault  `json:"faults"` // in claim order, as many as were asked for

	faults iter.Seq[DocumentFault] // those of a document whose Faults are empty, or nil
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
