package demo

import (
	"io"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/demo/search"
)

// The remote calls that steer the service, by net/rpc in its JSON form: Service.Start once, then
// Service.Phase at the end of each phase, then Service.Finish.

// StartArgs say what the service does.
type StartArgs struct {
	Database string
	Listen   string
	Profile  bool
	Granule  int           // 0: the default
	Windows  time.Duration // how often the memory is armed again; 0: never
	Heap     bool          // observe the Go heap too
	Cache    int           // bytes of the cache of answers; 0: none
	Out      string        // directory of the profiles and traces; empty: they are not kept
}

// StartReply says where the service is.
type StartReply struct {
	Address string // host:port
	// Unsupported says why the system refuses to be profiled; the service is then not running.
	Unsupported string
}

// PhaseReply is what the service says of itself at the end of a phase.
type PhaseReply struct {
	Latency search.Percentiles `json:"latency"`
	Memory  Memory             `json:"memory"`
	// First touches in the phase; zero without the profiler.
	Faults uint64        `json:"faults"`
	Stall  time.Duration `json:"stall_ns"`
}

// PrefetchedArgs say what was read ahead before the service was started.
type PrefetchedArgs struct{ Order string } // file

// FinishReply is what came out of it all.
type FinishReply struct {
	Profile summary.Summary
	Spans   Spans
	Export  Export
	Metrics Export
	Notes   []string
	Failed  string // what could not be written, empty if nothing
}

// Spans counts the spans of the service, with those that the profiler made.
type Spans struct {
	Ended   int `json:"ended"`
	Written int `json:"written"` // to the file of traces
}

// Export says how sending the spans away went.
type Export struct {
	Endpoint string `json:"endpoint,omitempty"` // empty: none was configured
	Failures int    `json:"failures"`
	First    string `json:"first_failure,omitempty"`
}

// stdio is the two ends of a conversation.
type stdio struct {
	io.Reader
	io.WriteCloser
}
