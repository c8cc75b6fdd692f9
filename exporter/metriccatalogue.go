//go:generate go run ../internal/metricsdoc -o ../docs/metrics.md

package exporter

import "slices"

// MetricRegions is how many groups of regions have a name of their own in metrics: the first ones. All others
// count together, as RegionOther, so that a service which maps file after file does not grow without bound.
const MetricRegions = 12

// MetricSets is how many attribute sets one instrument has at most. It follows from MetricRegions and
// the number of values of the other attributes, and a test holds it.
const MetricSets = 200

// Instrument is the kind of a metric.
type Instrument string

// The kinds of instruments that are used.
const (
	Counter   Instrument = "counter"
	Gauge     Instrument = "gauge"
	Histogram Instrument = "histogram"
)

// Metric is one metric in the catalogue.
type Metric struct {
	Name       string
	Instrument Instrument
	Unit       string    // in UCUM
	Keys       []string  // attributes
	Bounds     []float64 // upper bounds of a histogram's buckets, each inclusive, but for the last bucket, which has none
	Text       string    // one sentence, the metric's description
	Note       string    // what a reader has to know in addition, or empty
}

// MetricAttribute is one attribute of metrics.
type MetricAttribute struct{ Key, Text string }

// Metrics returns the catalogue of metrics in the order of the documentation.
func Metrics() []Metric {
	c := slices.Clone(metrics)
	for i := range c {
		c[i].Keys, c[i].Bounds = slices.Clone(c[i].Keys), slices.Clone(c[i].Bounds)
	}
	return c
}

// LookupMetric returns a metric by its name, and whether there is one.
func LookupMetric(name string) (Metric, bool) {
	for _, m := range Metrics() {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

// MetricAttributes returns what the attributes of metrics mean.
func MetricAttributes() []MetricAttribute { return slices.Clone(metricAttributes) }

// PositionSlices is how many equal parts of a region MetricFaultPosition tells apart.
const PositionSlices = 64

var metrics = []Metric{
	{MetricFaults, Counter, "{fault}", []string{KeyRegion, KeyAccess, KeySource, KeyResult}, nil, "First touches.",
		"Of those dropped nothing but the number is known: they have no other attribute."},
	{MetricMessages, Counter, "{message}", nil, nil, "Messages of the kernel about them.",
		"The kernel repeats itself when a wait is interrupted, so there are at least as many as first touches."},
	{MetricFaultStall, Histogram, "s", []string{KeyRegion, KeySource}, oneTwoFive(-6, -1), "How long a thread waited for a first touch, from when the profiler saw it.",
		"The rate of its sum is the mean number of threads that wait. Exemplars are of the trace that waited."},
	{MetricFaultPosition, Histogram, "1", []string{KeyRegion}, equalSlices(PositionSlices), "Where in its region a first touch was: the offset divided by the size.",
		"The value is a place and not a duration: drawn over time the buckets are a heatmap of the region's addresses. A region that grows moves its places. Exemplars, one a slice, are of the trace that touched it."},
	{MetricBurstSize, Histogram, "{fault}", []string{KeyRegion}, powersOfTwo(16), "First touches in a run: by one goroutine in one region, without a pause of 1 ms.",
		"A run counts when it is over."},
	{MetricRequestStall, Histogram, "s", nil, oneTwoFive(-6, 1), "How long the goroutines of a request waited for first touches, summed.",
		"Of requests that waited at all: spans without a parent in this process, with the spans beneath them that ended before them. Exemplars are of the request's trace."},
	{MetricRequestBlocked, Histogram, "s", nil, oneTwoFive(-6, 1), "How long all Ps stood in page faults of others while a request was open, so that nothing of the program ran.",
		"Of requests that lost any time so: a lower bound. What the request waited for anyway in that time it did not lose. Exemplars are of the request's trace."},
	{MetricProcsBlocked, Counter, "s", nil, nil, "How long processors of Go's scheduler (Ps) stood in page faults, added up.",
		"Its rate is the mean number of Ps that stand, of GOMAXPROCS: a lower bound, as threads that wait for a page which another one touched first are not seen."},
	{MetricProcsAllBlocked, Counter, "s", nil, nil, "How long all Ps stood in page faults at once, so that nothing of the program ran.",
		"Its rate is the share of the time that every request lost: a lower bound."},
	{MetricRegionMapped, Gauge, "By", []string{KeyRegion, KeyWindow}, nil, "Memory of a region that is mapped and observed.",
		"With a window other than total: at the end of the last one."},
	{MetricRegionTouched, Gauge, "By", []string{KeyRegion, KeyWindow}, nil, "Memory of a region that was touched in the window.",
		"Windows other than total are there where regions are armed again and again (FIRSTTOUCH_WINDOWS), and up to the end of the last window. They are made of whole windows, give or take a fifth of their length: with FIRSTTOUCH_WINDOWS=10s there is no window 1s."},
	{MetricRegionResident, Gauge, "By", []string{KeyRegion}, nil, "Memory of a region that is in physical memory now.",
		"Of a file what the page cache holds, also what was never touched. An estimate above 256 MiB. Absent for files that the process neither owns nor may write."},
	{MetricRegionIdle, Gauge, "By", []string{KeyRegion, KeyIdle}, nil, "Memory of a region that was touched, and then not for so long.",
		"A lower bound: a touch counts as made at the end of its window. Absent, and not 0, where regions are not armed again and again (FIRSTTOUCH_WINDOWS), and while that has not gone on for so long."},
	{MetricRegionPhase, Gauge, "1", []string{KeyRegion, KeyPhase}, nil, "1 for the phase that a region is in, 0 for the others.",
		"By its last window: cold where more than half was touched for the first time since windows began, or nothing ever was; warming where more than a twentieth was; thrashing where more than a tenth had been touched before and came from the disk again; else steady. What is new or came again counts from 1 MiB on, or 1% of what is mapped where that is less. Absent where regions are not armed again and again (FIRSTTOUCH_WINDOWS)."},
	{MetricThreadsStalled, Gauge, "{thread}", nil, nil, "Threads that wait for a first touch at the moment of collection.",
		"A lower bound: of threads that wait for the same page one is counted."},
	{MetricRecordsDropped, Counter, "{record}", []string{KeyReason}, nil, "Records of first touches that were lost on their way.", ""},
	{MetricOverhead, Counter, "s", nil, nil, "Processor time of the profiler's own threads and signal handler.",
		"Its rate is the share of one core."},
	{MetricThreadsStopped, Counter, "s", nil, nil, "Time for which the process's other threads were stopped, so that mappings of other code could be changed.",
		"Its rate is the share of the time in which nothing ran. 0 where the owner of every mapping gives a guard (WithGuard)."},
	{MetricOff, Gauge, "1", nil, nil, "1 once the profiler was taken off, by its fuse or by hand; else 0.",
		"It stays off until the service is started again, and the other metrics stay what they were. Which of the two it was, and why, is in the agent's Reason, its page and recordings: docs/fuse.md."},
	{MetricRegionObserved, Gauge, "1", []string{KeyRegion}, nil, "Share of a region's memory that is observed.",
		"1 unless there is a budget (FIRSTTOUCH_BUDGET) and more to do than it allows. 0 is a pause. The smallest of the regions that count together."},
	{MetricFaultsEstimate, Counter, "{fault}", []string{KeyRegion}, nil, "First touches of a region as estimated from the part that is observed.",
		"The same as firsttouch.faults where all of it is. What happened in pauses (firsttouch.budget.paused) is not in it. All other counters and histograms have what was seen."},
	{MetricTouchedEstimate, Gauge, "By", []string{KeyRegion, KeyWindow}, nil, "Memory of a region that was touched in the window, as estimated from the part that is observed.", ""},
	{MetricBudgetShare, Gauge, "1", nil, nil, "Share of the memory of all regions that the budget lets be observed.",
		"1 without a budget. 0 is a pause."},
	{MetricBudgetChanges, Counter, "{change}", []string{KeyChange}, nil, "How often the budget had less observed, or more again.", ""},
	{MetricBudgetPaused, Counter, "s", nil, nil, "Time in which the budget had nothing observed.",
		"Its rate is the share of the time of which no counter and no estimate says anything."},
}

var metricAttributes = []MetricAttribute{
	{KeyRegion, "The region's group, which is its name unless files that come and go share one (FIRSTTOUCH_GROUP); " + RegionOther + " for all beyond the first 12."},
	{KeyAccess, "read or write, or unknown where page faults are only observed."},
	{KeySource, "Where the contents came from: zero, page_cache, disk, memory (armed with its contents) or unknown."},
	{KeyResult, ResultRecorded + ", or " + ResultDropped + " where the record was lost."},
	{KeyReason, ReasonRingFull + ": the ring between the resolver and the totals (agent.WithRing); " +
		ReasonLogFull + ": counted in all totals, but not in the order of first touches (agent.WithLogLimit); " +
		ReasonQueueFull + ": missing from the histograms, counted everywhere else."},
	{KeyChange, ChangeLess + " or " + ChangeMore + "."},
	{KeyWindow, WindowTotal + ": all since the start; " + Window1s + ", " + Window10s + ", " + Window60s + ": the last so long."},
	{KeyIdle, Idle30s + ", " + Idle2m + ", " + Idle10m + ": for at least so long."},
	{KeyPhase, "cold, warming, steady or thrashing."},
}

// oneTwoFive returns 1, 2 and 5 times each power of ten from low, up to 1 times the one of high.
func oneTwoFive(low, high int) (bounds []float64) {
	for e := low; e < high; e++ {
		for _, m := range []float64{1, 2, 5} {
			bounds = append(bounds, scaled(m, e))
		}
	}
	return append(bounds, scaled(1, high))
}

// scaled is m times the power of ten, as close as a float64 can be: 5e-6 and not 4.9999999999999996e-06.
func scaled(m float64, e int) float64 {
	power := 1.0
	for range max(e, -e) {
		power *= 10
	}
	if e < 0 {
		return m / power
	}
	return m * power
}

// equalSlices returns the upper ends of n equal parts of 0 to 1.
func equalSlices(n int) (bounds []float64) {
	for i := 1; i <= n; i++ {
		bounds = append(bounds, float64(i)/float64(n))
	}
	return bounds
}

// powersOfTwo returns 1, 2, 4 and so on to 1<<high.
func powersOfTwo(high int) (bounds []float64) {
	for i := range high + 1 {
		bounds = append(bounds, float64(int(1)<<i))
	}
	return bounds
}
