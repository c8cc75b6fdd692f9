package profiler

import (
	"runtime/metrics"
	"time"
)

// Blocked is for how long the processors of Go's scheduler (Ps) stood in page faults: a goroutine that waits for storage holds its P until
// the page is there, and once all of them are held nothing of the program runs, requests that touch nothing included.
//
// All of it are lower bounds. Counted are threads that run Go code and wait for storage on account of a recorded first touch: not those that
// wait for a page that another thread touched first, nor those in a system call or in C code, whose P Go takes away after a moment.
// With DeliveryObserve none are counted.
type Blocked struct {
	Procs int           // Ps there are: GOMAXPROCS at the time of the snapshot
	Sum   time.Duration // added up over the Ps
	Any   time.Duration // at least one stood
	All   time.Duration // all of them did
	// GCStops counts how often the garbage collector had to wait for longer than a millisecond until all Ps had stopped, while one stood in a
	// page fault. Of that wait GCLeast is explained by the fault, and GCMost at most: the runtime tells only about how long each was, and
	// between which two looks at it.
	GCStops         uint64
	GCLeast, GCMost time.Duration
}

// BlockedSpan is a span of time in which Ps stood in page faults.
type BlockedSpan struct {
	From, To time.Duration // CLOCK_MONOTONIC
	Sum, All time.Duration // as in Blocked
}

const (
	// blockedLeast is how long a span is at least: what comes sooner is added to it.
	blockedLeast = 25 * time.Millisecond
	// blockedSpans bounds the spans. When there are more, each two become one.
	blockedSpans = 2048
	// gcSlow is from when on it is asked what the collector waited for.
	gcSlow = time.Millisecond
)

// collectorStops is the distribution of the times in which the collector stopped all Ps (runtime/metrics).
const collectorStops = "/sched/pauses/stopping/gc:seconds"

// gcStops reads how long the stops of the garbage collector took since it was asked last.
type gcStops struct {
	sample [1]metrics.Sample
	before []uint64
}

// since returns how many stops took longer than gcSlow, and how long those were in all: between least and most. It has none where the
// runtime does not tell.
func (g *gcStops) since() (n uint64, least, most time.Duration) {
	g.sample[0].Name = collectorStops
	metrics.Read(g.sample[:])
	if g.sample[0].Value.Kind() != metrics.KindFloat64Histogram {
		return 0, 0, 0
	}
	h := g.sample[0].Value.Float64Histogram()
	if len(g.before) != len(h.Counts) {
		g.before = append([]uint64(nil), h.Counts...)
		return 0, 0, 0
	}
	for i, count := range h.Counts {
		d := count - g.before[i]
		if g.before[i] = count; d == 0 || h.Buckets[i] < gcSlow.Seconds() {
			continue
		}
		n += d
		least += time.Duration(d) * seconds(h.Buckets[i])
		most += time.Duration(d) * seconds(h.Buckets[i+1])
	}
	return n, least, most
}

// seconds is a bound of a bucket; the last one is infinite.
func seconds(s float64) time.Duration { return time.Duration(min(s, 3600) * float64(time.Second)) }

// block takes over for how long Ps were held until now: sum, some and all are totals.
func (a *aggregate) block(now, sum, some, all time.Duration, stops *gcStops) {
	b := &a.stats.Blocked
	d := BlockedSpan{From: max(a.blockedAt, a.mono), To: now, Sum: max(sum-b.Sum, 0), All: max(all-b.All, 0)}
	any := max(some-b.Any, 0)
	n, least, most := stops.since()
	a.blockedAt = now
	if d.Sum == 0 {
		return
	}
	b.Sum, b.Any, b.All = b.Sum+d.Sum, b.Any+any, b.All+d.All
	if n > 0 {
		// Both lie between the two looks: what there is no room for beside one another was at the same time.
		b.GCStops += n
		b.GCLeast += min(max(least+any-(d.To-d.From), 0), any)
		b.GCMost += min(most, any)
	}
	if k := len(a.blocked) - 1; k >= 0 && a.blocked[k].To == d.From && a.blocked[k].To-a.blocked[k].From < blockedLeast {
		// Snapshots have the list: it is replaced, and not changed.
		last := a.blocked[k]
		d.From, d.Sum, d.All = last.From, last.Sum+d.Sum, last.All+d.All
		a.blocked = a.blocked[:k:k]
	}
	if len(a.blocked) >= blockedSpans {
		half := make([]BlockedSpan, 0, blockedSpans)
		for i := 0; i+1 < len(a.blocked); i += 2 {
			x, y := a.blocked[i], a.blocked[i+1]
			half = append(half, BlockedSpan{x.From, y.To, x.Sum + y.Sum, x.All + y.All})
		}
		a.blocked = half
	}
	a.blocked = append(a.blocked, d)
}

func (b Blocked) sub(old Blocked) Blocked {
	b.Sum -= old.Sum
	b.Any -= old.Any
	b.All -= old.All
	b.GCStops -= old.GCStops
	b.GCLeast -= old.GCLeast
	b.GCMost -= old.GCMost
	return b
}
