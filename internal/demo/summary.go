package demo

import (
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/demo/index"
)

// Schema names the form of Summary. Fields may be added under the same name; a field that changes
// its meaning or goes changes the name.
const Schema = "firsttouch/demo/v1"

// Summary is the result of the demo. Names of fields end in their unit.
type Summary struct {
	Schema string `json:"schema"`
	Index  Index  `json:"index"`
	Load   Load   `json:"load"`

	Without Run `json:"without_profiler"`
	With    Run `json:"with_profiler"`
	// SameAnswers: every request got the same bytes, in every phase of both runs.
	SameAnswers bool `json:"same_answers"`

	Profile summary.Summary `json:"profile"`
	// Prefetch is there with Options.Prefetch.
	Prefetch *Prefetched `json:"prefetch,omitempty"`
	Spans    Spans       `json:"spans"`
	Export   Export      `json:"export"`
	Metrics  Export      `json:"metrics_export"`
	Files    []string    `json:"files"`
	Notes    []string    `json:"notes"` // what a reader has to know, in sentences
}

// Index is the database.
type Index struct {
	Path  string        `json:"path"`
	Bytes int64         `json:"bytes"`
	Built bool          `json:"built"`         // in this run, not found in the cache
	Took  time.Duration `json:"build_time_ns"` // 0 unless Built
	Meta  index.Meta    `json:"contents"`
}

// Load is what was asked for.
type Load struct {
	Requests    int    `json:"requests"` // a phase
	Concurrency int    `json:"concurrency"`
	Seed        uint64 `json:"seed"`
}

// complete adds what the profiled service reported, and what follows from the two runs.
func (s *Summary) complete(f FinishReply) {
	s.Profile, s.Spans, s.Export, s.Metrics = f.Profile, f.Spans, f.Export, f.Metrics
	s.Files = []string{fileProfile, fileAddress, fileTraces, fileSummary, fileRecord}
	s.Notes = append([]string{}, f.Notes...)
	s.SameAnswers = true
	digest := s.Without.Phases[0].Load.Digest
	for _, run := range []struct {
		name string
		Run
	}{{"without", s.Without}, {"with", s.With}} {
		if r := run.PageCache.Refusal; r != "" {
			s.note("the cold phase %s the profiler was not cold: %s", run.name, r)
		}
		for _, p := range run.Phases {
			s.SameAnswers = s.SameAnswers && p.Load.Digest == digest
			if p.Load.Failures > 0 {
				s.SameAnswers = false
				s.note("%d of %d %s requests %s the profiler failed, the first one: %s", p.Load.Failures, p.Load.Requests, p.Name, run.name, p.Load.First)
			}
		}
	}
	if !s.SameAnswers {
		s.note("the answers with and without the profiler are not the same")
	}
	if s.Spans.Written < s.Spans.Ended {
		s.note("%d of %d spans are missing from %s", s.Spans.Ended-s.Spans.Written, s.Spans.Ended, fileTraces)
	}
	if s.Export.Failures > 0 {
		s.note("sending traces to %s failed %d times, the first time: %s; the demo speaks OTLP over HTTP, whose usual port is 4318",
			s.Export.Endpoint, s.Export.Failures, s.Export.First)
	}
	if s.Metrics.Failures > 0 {
		s.note("sending metrics to %s failed %d times, the first time: %s; where nothing takes metrics there, set OTEL_METRICS_EXPORTER=none",
			s.Metrics.Endpoint, s.Metrics.Failures, s.Metrics.First)
	}
}

func (s *Summary) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}
