package traces

import (
	"cmp"
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/exporter/internal/run"
	"github.com/firsttouch/firsttouch/profiler"
)

const (
	burstStall  = 100 * time.Microsecond // a run is shown when it waited this long
	burstFaults = 16                     // or had this many faults
	burstMost   = 32                     // bursts of one span, the merged one included
)

// burst is a run of faults of one goroutine in one region, or several such runs merged.
type burst struct {
	faults []profiler.Fault // in claim order; of merged runs, run after run
	start  time.Duration    // CLOCK_MONOTONIC; not known where there are no faults
	end    time.Duration
	stall  time.Duration
	merged int    // runs that this one stands for; 0 for a run of its own
	unseen uint64 // faults without a record
}

// shown reports whether this much waiting is worth a span.
func shown(stall time.Duration, faults uint64) bool {
	return stall >= burstStall || faults >= burstFaults
}

func (b *burst) shown() bool { return shown(b.stall, b.count()) }

func (b *burst) count() uint64 { return uint64(len(b.faults)) + b.unseen }

func (b *burst) add(f profiler.Fault) {
	if len(b.faults) == 0 {
		b.start = f.Time
	}
	b.faults = append(b.faults, f)
	b.start = min(b.start, f.Time)
	b.end = max(b.end, f.Time+f.Stall)
	b.stall += f.Stall
}

// bursts splits the faults of a span, in claim order, into what is to be shown, in the order of time
// with the merged one last. Nothing is lost: runs that are too small and those beyond the limit, the
// ones that waited least, are merged into one, which also stands for the faults without a record.
// It returns nil when all of them together are not worth a span.
func bursts(faults []profiler.Fault, unseen uint64) []burst {
	var keep, others []burst
	for _, b := range runs(faults) {
		if b.shown() {
			keep = append(keep, b)
		} else {
			others = append(others, b)
		}
	}
	if most := burstMost - 1; len(keep) > most && (len(keep) > burstMost || len(others) > 0 || unseen > 0) {
		slices.SortStableFunc(keep, func(a, b burst) int { return cmp.Compare(b.stall, a.stall) })
		others = append(others, keep[most:]...)
		keep = keep[:most]
		slices.SortStableFunc(keep, func(a, b burst) int { return cmp.Compare(a.start, b.start) })
	}
	rest := merge(others)
	rest.unseen = unseen
	switch {
	case rest.count() == 0:
		return keep
	case len(keep) == 0 && !rest.shown():
		return nil
	}
	return append(keep, rest)
}

func merge(runs []burst) (rest burst) {
	for _, b := range runs {
		rest.merged++
		for _, f := range b.faults {
			rest.add(f)
		}
	}
	return rest
}

// runs groups faults by goroutine and region, and cuts where a pause is too long. A pause is the time
// from when the goroutine could go on until it faulted again.
func runs(faults []profiler.Fault) (out []burst) {
	last := make(map[run.Key]int)
	for _, f := range faults {
		k := run.KeyOf(f)
		i, ok := last[k]
		if !ok || f.Time-out[i].end >= run.Gap {
			i = len(out)
			out = append(out, burst{})
			last[k] = i
		}
		out[i].add(f)
	}
	return out
}
