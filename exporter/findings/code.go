package findings

import (
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/profiler"
)

// The floor of code: a place that has such a part of a stall of so much, where such a part of the stall has a stack. What it says of
// the order of touches takes so many steps of a goroutine.
const (
	codePart    = 0.25
	codeStall   = 10 * time.Millisecond
	codeStacked = 0.1
	codeSteps   = 50
	// sequentialFrom and scatteredBelow are parts of the steps that go to the next few granules.
	sequentialFrom = 0.6
	scatteredBelow = 0.1
)

// code says which code waited most, and in which order it touches.
func code(x in) *summary.Finding {
	all := x.stall()
	if len(x.Callers) == 0 || x.Stacked < codeStacked || !x.sound() {
		return nil
	}
	c := &x.Callers[0]
	part := float64(c.Estimate.Stall) / max(all, 1)
	if c.Function == "" || c.Estimate.Stall < codeStall || part < codePart {
		return nil
	}
	at := summary.ShortFunction(c.Function)
	if c.From != "" {
		at += ", called from " + summary.ShortFunction(c.From)
	}
	f := &summary.Finding{Rule: "code", Weight: 2 + min(part, 1), Text: fmt.Sprintf("%s of the wait is in %s", summary.Percent(min(part, 1)), at),
		Evidence: "firsttouch pprof recording.ftr && go tool pprof -top -sample_index=stall profile.pb.gz; the callers below",
		Try:      "look at that code: what it touches first is what the others wait for"}
	if x.Stacked < 0.99 {
		f.Text += fmt.Sprintf(" (from the %s of the stall that has a stack)", summary.Percent(x.Stacked))
	}
	switch steps, sequential, granule := x.steps(c.Function); {
	case steps < codeSteps:
	case sequential >= sequentialFrom:
		f.Text += fmt.Sprintf(", which goes on to the next %s in %s of its steps: it reads in sequence.", summary.Bytes(int64(granule)), summary.Percent(sequential))
		f.Try = "madvise(MADV_SEQUENTIAL) or MADV_WILLNEED on what it reads, or one larger read: it then waits once for many pages (firsttouch advise tries the advice)"
		return f
	case sequential < scatteredBelow:
		f.Text += fmt.Sprintf(", and %s of its steps go elsewhere in the memory: it reads here and there.", summary.Percent(1-sequential))
		f.Try = "touch several places at once (prefetch in parallel), and MADV_RANDOM where read-ahead brings what nobody needs (firsttouch advise tries it)"
		return f
	}
	f.Text += "."
	return f
}

// steps counts how often a goroutine that touches in a function touches next in it, and the part of it that goes to one of the next
// four granules.
func (x in) steps(function string) (steps int, sequential float64, granule int) {
	type place struct {
		goroutine uint64
		region    profiler.RegionID
	}
	s := x.r.Snapshot
	in := make(map[profiler.StackID]bool)
	last := make(map[place]int64)
	next := 0
	for i := range s.Faults {
		f := &s.Faults[i]
		of, known := in[f.Stack]
		if !known {
			of = f.Stack != 0 && summary.Function(s, f.Stack) == function
			in[f.Stack] = of
		}
		if !of || f.Goroutine == 0 {
			continue
		}
		g := s.RegionOf(f.Region).Granule
		k := place{f.Goroutine, f.Region}
		if before, ok := last[k]; ok {
			steps++
			if d := f.Offset/int64(g) - before; d >= 1 && d <= 4 {
				next++
			}
		}
		last[k], granule = f.Offset/int64(g), g
	}
	return steps, float64(next) / float64(max(steps, 1)), granule
}
