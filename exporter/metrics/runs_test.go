package metrics

import (
	"slices"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/internal/run"
	"github.com/firsttouch/firsttouch/profiler"
)

func TestRuns(t *testing.T) {
	const ms = time.Millisecond
	at := func(time time.Duration, goroutine uint64, region profiler.RegionID) profiler.Fault {
		return profiler.Fault{Time: time, Stall: 100 * us, Goroutine: goroutine, Region: region}
	}
	for _, c := range []struct {
		name   string
		faults []profiler.Fault
		want   []int64
	}{
		{"one", []profiler.Fault{at(0, 1, 0)}, []int64{1}},
		{"without a pause", []profiler.Fault{at(0, 1, 0), at(ms, 1, 0), at(2*ms, 1, 0)}, []int64{3}},
		{"a pause counts from the end of the stall", []profiler.Fault{at(0, 1, 0), at(100*us+run.Gap-1, 1, 0), at(2*(100*us+run.Gap)-1, 1, 0)}, []int64{1, 2}},
		{"goroutines are apart", []profiler.Fault{at(0, 1, 0), at(0, 2, 0), at(us, 1, 0)}, []int64{1, 2}},
		{"regions are apart", []profiler.Fault{at(0, 1, 0), at(0, 1, 1), at(us, 1, 0)}, []int64{1, 2}},
		{"threads are apart where goroutines are not known", []profiler.Fault{{Thread: 1}, {Thread: 2}}, []int64{1, 1}},
	} {
		var got []int64
		r := newRuns(func(_ profiler.RegionID, n int64) { got = append(got, n) })
		for i := range c.faults {
			r.add(&c.faults[i])
		}
		r.closeAll()
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestARunCountsWhenItIsOver(t *testing.T) {
	n := 0
	r := newRuns(func(profiler.RegionID, int64) { n++ })
	r.add(&profiler.Fault{Time: time.Second, Stall: 5 * us})
	if r.closeBefore(time.Second + 5*us + run.Gap - 1); n != 0 {
		t.Error("counted while a fault could still belong to it")
	}
	if r.closeBefore(time.Second + 5*us + run.Gap); n != 1 || len(r.open) != 0 {
		t.Errorf("counted %d times, %d open", n, len(r.open))
	}
}

// However many goroutines fault at once, the table is bounded and each fault counts once.
func TestOpenRunsAreBounded(t *testing.T) {
	var sum int64
	r := newRuns(func(_ profiler.RegionID, n int64) { sum += n })
	const faults = 5 * maxRuns
	for i := range faults {
		r.add(&profiler.Fault{Goroutine: uint64(i + 1)})
		if len(r.open) > maxRuns {
			t.Fatalf("%d open", len(r.open))
		}
	}
	r.closeAll()
	if sum != faults {
		t.Errorf("%d of %d faults", sum, faults)
	}
}
