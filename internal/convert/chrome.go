package convert

import (
	"bufio"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/internal/plain"
	"github.com/firsttouch/firsttouch/profiler"
)

// event is one of the Trace Event Format ("Trace Event Format", Google, 2016). Times are
// microseconds, with fractions.
type event struct {
	Name  string         `json:"name"`
	Phase string         `json:"ph"`
	Cat   string         `json:"cat,omitempty"`
	ID    string         `json:"id,omitempty"`
	Start float64        `json:"ts"`
	Dur   *float64       `json:"dur,omitempty"`
	PID   int            `json:"pid"`
	TID   int64          `json:"tid"`
	Args  map[string]any `json:"args,omitempty"`
}

// The processes of the picture: rows are grouped by them.
const (
	pidThreads = iota + 1
	pidRequests
	pidMemory
)

// counterPoints bounds the points of one curve.
const counterPoints = 2000

// What is repeated for each fault is short: the innermost functions, and of names what tells them apart.
const (
	framesMost = 64
	nameMost   = 200
)

// Chrome writes trace events: first touches by thread, requests by trace, and the memory touched so far by
// region. Perfetto opens the file.
func Chrome(w io.Writer, r *recording.Recording) error {
	out := &chrome{w: bufio.NewWriter(w), r: r}
	out.text(`{"displayTimeUnit":"ms","traceEvents":[`)
	out.processes()
	out.faults()
	out.requests()
	out.memory()
	out.text("\n]}\n")
	if out.err != nil {
		return out.err
	}
	return out.w.Flush()
}

type chrome struct {
	w    *bufio.Writer
	r    *recording.Recording
	some bool
	err  error
}

func (c *chrome) text(s string) {
	if c.err == nil {
		_, c.err = c.w.WriteString(s)
	}
}

func (c *chrome) event(e event) {
	b, err := json.Marshal(e)
	if c.err = cmp.Or(c.err, err); c.some {
		c.text(",")
	}
	c.some = true
	c.text("\n" + string(b))
}

func (c *chrome) at(mono time.Duration) float64 { return micro(mono - c.r.Snapshot.StartMono) }

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func (c *chrome) processes() {
	for pid, name := range map[int]string{pidThreads: "first touches by thread", pidRequests: "requests", pidMemory: "touched memory"} {
		c.event(event{Name: "process_name", Phase: "M", PID: pid, Args: map[string]any{"name": name}})
		c.event(event{Name: "process_sort_index", Phase: "M", PID: pid, Args: map[string]any{"sort_index": pidMemory - pid}})
	}
	threads := make(map[int32]bool)
	for _, f := range c.r.Snapshot.Faults {
		threads[f.Thread] = true
	}
	for _, id := range slices.Sorted(maps.Keys(threads)) {
		c.event(event{Name: "thread_name", Phase: "M", PID: pidThreads, TID: int64(id), Args: map[string]any{"name": fmt.Sprintf("thread %d", id)}})
	}
}

func (c *chrome) faults() {
	s := c.r.Snapshot
	var last profiler.StackID // faults of one stack come after each other
	var stack []string
	for _, f := range s.Faults {
		if c.err != nil {
			return
		}
		if f.Stack != last {
			last, stack = f.Stack, nil
			for _, fr := range s.Frames(f.Stack) {
				if len(stack) == framesMost {
					break
				}
				stack = append(stack, fmt.Sprintf("%.*s %.*s:%d", nameMost, fr.Function, nameMost, filepath.Base(fr.File), fr.Line))
			}
		}
		dur := micro(f.Stall)
		args := map[string]any{"region": plain.Line(s.RegionOf(f.Region).Name), "offset": fmt.Sprintf("%#x", f.Offset), "access": f.Access.String(),
			"source": f.Source.String(), "goroutine": f.Goroutine, "stack": stack}
		if owner, ok := s.Span(f.Span); ok {
			args["trace_id"], args["span_id"] = hex.EncodeToString(owner.TraceID[:]), hex.EncodeToString(owner.SpanID[:])
		}
		c.event(event{Name: "first touch, " + strings.ReplaceAll(f.Source.String(), "_", " "), Phase: "X", Cat: "fault",
			Start: c.at(f.Time), Dur: &dur, PID: pidThreads, TID: int64(f.Thread), Args: args})
	}
}

// requests are asynchronous events: those of a trace nest, and traces overlap. A begin comes before
// the begins inside it.
func (c *chrome) requests() {
	list := slices.Clone(c.r.Requests)
	slices.SortStableFunc(list, func(a, b recording.Request) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.Duration, a.Duration))
	})
	for _, q := range list {
		trace := hex.EncodeToString(q.TraceID[:])
		e := event{Name: strings.TrimSpace(q.Name + " " + q.Target), Phase: "b", Cat: "request", ID: trace, Start: c.at(q.Start), PID: pidRequests,
			Args: map[string]any{"trace_id": trace, "span_id": hex.EncodeToString(q.SpanID[:]), "faults": q.Tree.Faults,
				"stall_us": micro(q.Tree.Stall), "touched_bytes": q.Tree.Touched}}
		c.event(e)
		e.Phase, e.Start, e.Args = "e", c.at(q.Start+q.Duration), nil
		c.event(e)
	}
}

// memory draws how the touched memory grew, with the faults of the log.
func (c *chrome) memory() {
	s := c.r.Snapshot
	type place struct {
		region  profiler.RegionID
		granule int64
	}
	seen := make(map[place]bool)
	touched := make(map[profiler.RegionID]int64)
	every := len(s.Faults)/counterPoints + 1
	for i, f := range s.Faults {
		r := s.RegionOf(f.Region)
		if at := (place{f.Region, f.Offset / int64(r.Granule)}); !seen[at] {
			seen[at] = true
			touched[f.Region] += r.GranuleBytes(f.Offset)
		}
		if i%every == 0 || i == len(s.Faults)-1 {
			c.event(event{Name: plain.Line(filepath.Base(r.Name)), Phase: "C", Start: c.at(f.Time), PID: pidMemory, Args: map[string]any{"bytes": touched[f.Region]}})
		}
	}
}
