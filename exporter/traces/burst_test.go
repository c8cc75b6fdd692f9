package traces

import (
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// at makes n faults of a goroutine from a start, gap apart, each with the given stall and step.
func at(start time.Duration, n int, gap, stall time.Duration, step int64) (out []profiler.Fault) {
	for i := range n {
		out = append(out, profiler.Fault{Time: start + time.Duration(i)*gap, Stall: stall, Offset: int64(i) * step, Goroutine: 1})
	}
	return out
}

func count(bs []burst) (n int) {
	for _, b := range bs {
		n += len(b.faults) + int(b.unseen)
	}
	return n
}

func TestBurstsSplitWhereThePauseIsLong(t *testing.T) {
	faults := append(at(0, 20, 10*time.Microsecond, time.Microsecond, 4096), at(5*time.Millisecond, 20, 10*time.Microsecond, time.Microsecond, 4096)...)
	bs := bursts(faults, 0)
	if len(bs) != 2 || len(bs[0].faults) != 20 || len(bs[1].faults) != 20 {
		t.Fatalf("%d bursts", len(bs))
	}
	if bs[0].start != 0 || bs[0].end != 191*time.Microsecond {
		t.Errorf("the first burst is %v to %v", bs[0].start, bs[0].end)
	}
}

func TestBurstsOfGoroutinesAndRegionsAreApart(t *testing.T) {
	a, b, c := at(0, 16, 10, 1, 1), at(0, 16, 10, 1, 1), at(0, 16, 10, 1, 1)
	for i := range b {
		b[i].Goroutine = 2
		c[i].Region = 1
	}
	if bs := bursts(append(append(a, b...), c...), 0); len(bs) != 3 {
		t.Errorf("%d bursts, want 3", len(bs))
	}
}

func TestSmallBurstsAreMergedOrLeftOut(t *testing.T) {
	if bs := bursts(at(0, 3, time.Microsecond, time.Microsecond, 1), 0); bs != nil {
		t.Errorf("3 quick faults make %d bursts", len(bs))
	}
	faults := append(at(0, 3, time.Microsecond, time.Microsecond, 1), at(time.Second, 16, 1, 1, 1)...)
	bs := bursts(faults, 0)
	if len(bs) != 2 || bs[1].merged != 1 || count(bs) != 19 {
		t.Errorf("%d bursts, %d faults", len(bs), count(bs))
	}
	// Each too small, together worth showing.
	var many []profiler.Fault
	for i := range 20 {
		many = append(many, at(time.Duration(i)*10*time.Millisecond, 1, 0, time.Microsecond, 1)...)
	}
	if bs := bursts(many, 0); len(bs) != 1 || bs[0].merged != 20 || len(bs[0].faults) != 20 {
		t.Errorf("%d bursts of %d faults", len(bs), count(bs))
	}
}

func TestNoMoreThan32BurstsAndNoFaultLost(t *testing.T) {
	var faults []profiler.Fault
	for i := range 100 {
		faults = append(faults, at(time.Duration(i)*10*time.Millisecond, 16, 1, time.Duration(i), 1)...)
	}
	bs := bursts(faults, 7)
	if len(bs) != burstMost || count(bs) != 1607 {
		t.Errorf("%d bursts, %d faults", len(bs), count(bs))
	}
	if last := bs[len(bs)-1]; last.merged != 69 || last.unseen != 7 {
		t.Errorf("the last stands for %d bursts and %d faults unseen", last.merged, last.unseen)
	}
	for i, b := range bs[:burstMost-1] {
		if b.faults[0].Stall < 69 || i > 0 && b.start < bs[i-1].start {
			t.Errorf("burst %d waited %v a fault: the longest are to be kept, in order", i, b.faults[0].Stall)
		}
	}
}

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		want    string
		stride  int64
		offsets []int64
	}{
		{"single", 0, []int64{5}},
		{"sequential", 0, []int64{5, 6}},
		{"sequential", 0, []int64{0, 1, 2, 3, 4, 6, 7}},
		{"strided", 10, []int64{0, 10, 20, 30, 40}},
		{"strided", -10, []int64{40, 30, 20, 10, 0}},
		{"strided", -1, []int64{4, 3, 2, 1, 0}},
		{"strided", 2, []int64{0, 2, 4, 6, 8}},
		{"random", 0, []int64{7, 1, 90, 4, 33, 2}},
		{"random", 0, []int64{7, 90}},
		{"random", 0, []int64{7, 7, 7, 7}}, // touched again after a re-arm
		{"random", 0, []int64{0, 1, 2, 9, 3}},
	} {
		var faults []profiler.Fault
		for i, o := range c.offsets {
			faults = append(faults, profiler.Fault{Offset: o*4096 + int64(i)})
		}
		if got, stride := pattern(faults, 4096); got != c.want || stride != c.stride*4096 {
			t.Errorf("%v is %s by %d, want %s by %d", c.offsets, got, stride, c.want, c.stride*4096)
		}
	}
}
