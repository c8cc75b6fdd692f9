package profiler

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// Beyond the log's limit the totals go on.
func TestLogLimit(t *testing.T) {
	a := newAggregate(10)
	for range 2 {
		a.addRegion(&RegionStats{ID: RegionID(len(a.regions)), Granule: 4096, Size: 2 << 20})
	}
	faults := someFaults(5, 100)
	for _, f := range faults {
		a.add(f, 0)
	}
	s := a.snapshot(time.Time{}, 0)
	var grouped uint64
	for _, g := range s.Groups {
		grouped += g.Faults
	}
	if !slices.Equal(s.Faults, faults[:10]) || s.Stats.LogCut != 90 || s.Stats.Records != 100 || grouped != 100 {
		t.Errorf("%d logged, %d cut, %d records, %d grouped", len(s.Faults), s.Stats.LogCut, s.Stats.Records, grouped)
	}
}

// Spans are forgotten in the order in which they came.
func TestSpansAreForgotten(t *testing.T) {
	a := newAggregate(0)
	a.addRegion(&RegionStats{Granule: 4096, Size: 1 << 20})
	const extra = 100
	for i := range maxSpans + extra {
		a.add(Fault{Span: SpanRef(i + 1), Stall: 1}, 0)
	}
	s := a.snapshot(time.Time{}, 0)
	if _, ok := s.Span(extra); ok {
		t.Error("the first spans are still known")
	}
	for _, ref := range []SpanRef{extra + 1, maxSpans + extra} {
		if got, ok := s.Span(ref); !ok || got.Faults != 1 || got.Bytes != 4096 {
			t.Errorf("span %d: %+v", ref, got)
		}
	}
	if len(a.spans) != maxSpans || len(a.spanOrder) != maxSpans {
		t.Errorf("%d spans in a list of %d", len(a.spans), len(a.spanOrder))
	}
}

// A stack has one number, and a copy of the table does not see later ones.
func TestStackTable(t *testing.T) {
	var table stackTable
	pcs := []uintptr{10, 20, 30}
	id := table.add(pcs)
	pcs[0] = 99 // the table keeps no reference
	if again := table.add([]uintptr{10, 20, 30}); id != 1 || again != id {
		t.Errorf("numbers %d and %d of one stack", id, again)
	}
	if other := table.add([]uintptr{10, 20}); other != 2 {
		t.Errorf("number %d of another", other)
	}
	if none := table.add(nil); none != 0 {
		t.Errorf("number %d of none", none)
	}
	frozen := table.freeze()
	table.add([]uintptr{40})
	if !slices.Equal(frozen.get(1), []uintptr{10, 20, 30}) || frozen.get(3) != nil || frozen.get(0) != nil || !slices.Equal(table.get(3), []uintptr{40}) {
		t.Errorf("%v, %v, %v", frozen.get(1), frozen.get(3), table.get(3))
	}
	if frozen.frames(0) != nil || (*stackTable)(nil).get(1) != nil {
		t.Error("frames of no stack")
	}
}

// The first entry of a stack is an instruction, the others are return addresses: an instruction that
// is its function's first is not taken for the function before it.
func TestFramesOfAFirstInstruction(t *testing.T) {
	var table stackTable
	frames := table.frames(table.add([]uintptr{entryOf(someBuilder)}))
	if len(frames) != 1 || !strings.HasSuffix(frames[0].Function, ".someBuilder") {
		t.Errorf("frames %+v", frames)
	}
}

// entryOf is the address of a function's first instruction.
func entryOf(f any) uintptr { return reflect.ValueOf(f).Pointer() }

// What a process goes on making does not grow without end: all that is left out stays in the totals, and in what other
// faults are told by.
func TestGroupsAndThreadsAreBounded(t *testing.T) {
	a := newAggregate(100)
	a.addRegion(&RegionStats{Granule: 4096, Size: 1 << 20})
	a.addRegion(&RegionStats{ID: 1, Granule: 4096, Size: 1 << 20})
	a.groupsMost, a.threadsMost = 10, 5
	for i := range 100 {
		if f := a.add(Fault{Region: RegionID(i % 2), Stack: StackID(i), Thread: int32(i + 1), Stall: 1}, 0); f.Stack != 0 && f.Stack > 10 {
			t.Fatalf("fault %d is counted for stack %d, and told as if it were in the groups", i, f.Stack)
		}
	}
	s := a.snapshot(time.Time{}, 0)
	var groups, threads, others uint64
	for _, g := range s.Groups {
		groups += g.Faults
	}
	for _, th := range s.Threads {
		threads += th.Faults
		if th.Thread == 0 {
			others = th.Faults
		}
	}
	if len(s.Groups) > 12 || len(s.Threads) != 6 || groups != 100 || threads != 100 || others != 95 || s.Stats.StacksCut == 0 || !a.crowded {
		t.Errorf("%d groups of %d faults, %d threads of %d, %d of them others, %+v", len(s.Groups), groups, len(s.Threads), threads, others, s.Stats)
	}
	for _, f := range s.Faults {
		if !slices.ContainsFunc(s.Groups, func(g Group) bool { return g.Region == f.Region && g.Stack == f.Stack }) {
			t.Errorf("fault %+v belongs to no group", f)
		}
	}
}
