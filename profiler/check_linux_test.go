//go:build linux && (amd64 || arm64)

package profiler

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
)

// check compares a fault with the touch that caused it. It reports whether there was a stack: Go may
// preempt the toucher at the fault, and then the stack is missed, and sometimes the goroutine.
func (m *made) check(t *testing.T, s *Snapshot, f *Fault, source Source) (stack bool) {
	t.Helper()
	what := m.way.name
	base := addressOf(m.memory)
	lo, hi := base+uintptr(m.lo), base+uintptr(m.hi)
	// Loads and stores touch one byte; the others may begin at either end.
	first := lo
	if m.way.leaf == indexLeaf {
		first &^= indexAlign - 1
	}
	if m.way.leaf == "" && f.Address != lo || f.Address < first || f.Address >= hi {
		t.Errorf("%s: address %#x, want it in [%#x, %#x)", what, f.Address, lo, hi)
	}
	if want := int64(f.Address - base); f.Offset != want {
		t.Errorf("%s: offset %d, want %d", what, f.Offset, want)
	}
	if f.Region != m.region.ID() {
		t.Errorf("%s: region %d, want %d", what, f.Region, m.region.ID())
	}
	if !m.madeBy(f) {
		t.Errorf("%s: thread %d, goroutine %d, want %d, %d", what, f.Thread, f.Goroutine, m.thread, m.goroutine)
	}
	if f.Access != m.way.access {
		t.Errorf("%s: access %v, want %v", what, f.Access, m.way.access)
	}
	if f.Source != source {
		t.Errorf("%s: source %v, want %v", what, f.Source, source)
	}
	if f.Messages < 1 {
		t.Errorf("%s: no message", what)
	}
	// The claim is within the touch. The stall may end behind it: a thread that the signal for its
	// stack interrupted finds the memory accessible before the engine has looked at the clock.
	if f.Time < time.Duration(m.before) || f.Time > time.Duration(m.after) || f.Stall <= 0 {
		t.Errorf("%s: claimed at %v, stalled %v, but touched in [%v, %v]", what, f.Time, f.Stall, time.Duration(m.before), time.Duration(m.after))
	}
	if f.Stack != 0 {
		m.checkStack(t, s.Frames(f.Stack))
	}
	return f.Stack != 0
}

// madeBy reports whether a fault is the toucher's. Its goroutine may be unknown, but not together with
// a stack.
func (m *made) madeBy(f *Fault) bool {
	return f.Thread == m.thread && (f.Goroutine == m.goroutine || f.Goroutine == 0 && f.Stack == 0)
}

// checkStack wants the function that touched, and its caller, behind nothing but the runtime.
func (m *made) checkStack(t *testing.T, frames []runtime.Frame) {
	t.Helper()
	fn := runtime.FuncForPC(entryOf(m.way.touch)).Name()
	names := make([]string, len(frames))
	for i, f := range frames {
		names[i] = f.Function
	}
	i := 0
	for i < len(names) && inner(names[i]) {
		i++
	}
	rest := names[i:]
	if len(rest) < 2 || rest[0] != fn || !strings.HasSuffix(rest[1], "(*toucher).perform") {
		t.Errorf("%s: stack %q: want %s, called by perform", m.way.name, names, fn)
		return
	}
	if m.way.leaf != "" && names[0] != m.way.leaf || !raceEnabled && !m.way.system && i != m.way.below {
		t.Errorf("%s: stack %q: want %q %d frames below %s", m.way.name, names, m.way.leaf, m.way.below, fn)
	}
	if m.way.system && !strings.HasSuffix(names[0], "Syscall6") {
		t.Errorf("%s: stack %q does not begin in the system call", m.way.name, names)
	}
}

// inner reports whether a function is below those that a reader of a profile asks for.
func inner(name string) bool {
	if name == equalLeaf || name == "cmpbody" || name == indexLeaf || strings.HasSuffix(name, "profiler.leaf") {
		return true
	}
	for _, p := range []string{"runtime.", "internal/", "syscall.", "strings."} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// checkSums holds what must be true of every snapshot: all totals are totals of the same faults, and
// each fault had a message.
func checkSums(t *testing.T, s *Snapshot) {
	t.Helper()
	checkWindow(t, s)
	for _, r := range s.Regions {
		if r.Messages < r.Faults {
			t.Errorf("region %s: %d faults, %d messages", r.Name, r.Faults, r.Messages)
		}
	}
	if s.Stats.Messages < s.Stats.Faults {
		t.Errorf("%d faults, %d messages", s.Stats.Faults, s.Stats.Messages)
	}
}

// checkWindow is checkSums for the difference of two snapshots, at whose edges messages may count
// for the neighbour.
func checkWindow(t *testing.T, s *Snapshot) {
	t.Helper()
	var regions, groups, threads, logged, unknown uint64
	var regionStall, groupStall, threadStall time.Duration
	for i := range s.Regions {
		r := &s.Regions[i]
		regions += r.Faults
		regionStall += r.Stall.Sum
		unknown += r.StallsUnknown
		if r.Stall.Count+r.StallsUnknown != r.Faults {
			t.Errorf("region %s: %d faults, %d stalls, %d unknown", r.Name, r.Faults, r.Stall.Count, r.StallsUnknown)
		}
		var touched int64
		for offset := range r.TouchedGranules {
			touched += min(int64(r.Granule), r.Size-offset)
		}
		if touched != r.Touched {
			t.Errorf("region %s: %d bytes touched, but granules of %d", r.Name, r.Touched, touched)
		}
	}
	for _, g := range s.Groups {
		groups += g.Faults
		groupStall += g.Stall
	}
	for _, th := range s.Threads {
		threads += th.Faults
		threadStall += th.Stall
	}
	logged = uint64(len(s.Faults)) + s.Stats.LogCut
	if n := s.Stats.Records; regions != n || groups != n || threads != n || logged != n {
		t.Errorf("%d records, but %d in regions, %d in groups, %d in threads, %d logged", n, regions, groups, threads, logged)
	}
	if regionStall != groupStall || groupStall != threadStall {
		t.Errorf("stall %v in regions, %v in groups, %v in threads", regionStall, groupStall, threadStall)
	}
	if unknown != s.Stats.StallsUnknown {
		t.Errorf("%d unknown stalls, %d in regions", s.Stats.StallsUnknown, unknown)
	}
	if s.Stats.Faults != s.Stats.Records+s.Stats.Dropped {
		t.Errorf("%d faults, %d records, %d dropped", s.Stats.Faults, s.Stats.Records, s.Stats.Dropped)
	}
	last := uint64(0)
	for i, f := range s.Faults {
		if f.Seq < last && f.Stall < engine.Patience { // those that waited longer come when that is over
			t.Fatalf("fault %d has number %d after %d", i, f.Seq, last)
		}
		last = max(last, f.Seq+1)
	}
}
