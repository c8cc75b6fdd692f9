package agent

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

// The Go heap is a region as others, and shows who touched it.
func TestGoHeapInTheOutputs(t *testing.T) {
	a := start(t)
	if a.Profiler().Snapshot().Stats.UserModeOnly {
		stop(t, a)
		b, err := Start(t.Context(), WithGoHeap(1), WithFailingSystemCalls())
		if err != nil || b.Reason() != "" || !strings.Contains(strings.Join(b.Notes(), ""), "the Go heap is not profiled") {
			t.Errorf("%v, %q, %q", err, b.Reason(), b.Notes())
		}
		stop(t, b)
		t.Skip("Stats.UserModeOnly: the heap is refused, which the notes say")
	}
	stop(t, a)
	a = start(t, WithGoHeap(1), WithStacks(profiler.StacksNone()))
	code, body := serve(t, a, "/debug/firsttouch/profile?seconds=1")
	if code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	p, err := profile.Parse(bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	labelled := 0
	for _, s := range p.Sample {
		if s.Label["region"][0] == "go heap" && len(s.Label["actor"]) == 1 {
			labelled++
		}
	}
	if labelled == 0 || labelled != len(p.Sample) {
		t.Errorf("%d of %d samples say on whose behalf", labelled, len(p.Sample))
	}
	_, body = serve(t, a, "/debug/firsttouch/snapshot")
	var d Document
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		t.Fatal(err)
	}
	r := d.Regions[0]
	h := r.Heap
	if r.Kind != "go_heap" || h == nil || h.Share != 1 || h.Observed != h.Blocks || h.Objects == 0 || h.Touched != r.Touched {
		t.Fatalf("%+v, %+v", r, h)
	}
	var sum uint64
	for _, actor := range h.Actors {
		sum += actor.Faults
	}
	if sum != r.Faults || sum == 0 {
		t.Errorf("%d faults by actor, %d in all", sum, r.Faults)
	}
	for _, f := range d.Faults {
		if f.Actor == "" {
			t.Errorf("a fault without an actor: %+v", f)
		}
	}
}
