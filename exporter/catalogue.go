package exporter

import "slices"

// Kind is what a name names.
type Kind string

// The kinds of names.
const (
	KindSpan       Kind = "span"
	KindEvent      Kind = "span event"
	KindAttribute  Kind = "attribute"
	KindSampleType Kind = "pprof sample type"
	KindLabel      Kind = "pprof label"
	KindFrame      Kind = "pprof frame"
)

// Carrier is what carries an attribute.
type Carrier string

// The carriers of attributes.
const (
	OnSpan   Carrier = "span"       // a span of the service itself, where faults happened
	OnBurst  Carrier = SpanBurst    // our child span
	OnEvent  Carrier = "slow_fault" // our span event
	OnWindow Carrier = SpanWindow   // our span of a window, or a link of it
)

// Entry is one name in the catalogue.
type Entry struct {
	Name string
	Kind Kind
	Type string    // int, double, bool, string, string[]; "" for what has no value
	Unit string    // in UCUM for attributes, in pprof's words for sample types; "" for none
	On   []Carrier // for attributes
	Text string    // one sentence
}

// Catalogue returns every name in the order of the documentation.
func Catalogue() []Entry {
	c := slices.Clone(catalogue)
	for i := range c {
		c[i].On = slices.Clone(c[i].On)
	}
	return c
}

// Lookup returns the entry of a name, and whether there is one.
func Lookup(kind Kind, name string) (Entry, bool) {
	for _, e := range catalogue {
		if e.Kind == kind && e.Name == name {
			e.On = slices.Clone(e.On)
			return e, true
		}
	}
	return Entry{}, false
}

var (
	onBoth   = []Carrier{OnSpan, OnBurst}
	onBurst  = []Carrier{OnBurst}
	onOurs   = []Carrier{OnBurst, OnEvent}
	onSpan   = []Carrier{OnSpan}
	onEvent  = []Carrier{OnEvent}
	onWindow = []Carrier{OnWindow}
)

var catalogue = []Entry{
	{SpanBurst, KindSpan, "", "", nil, "A run of first touches by one goroutine in one region, under the span that it worked for."},
	{SpanWindow, KindSpan, "", "", nil, "What was touched of a region between two armings, with links to the requests that waited longest; off by default."},
	{EventSlowFault, KindEvent, "", "", nil, "One first touch that waited longer than a threshold; off by default, at most 8 on a span."},

	{AttrFaults, KindAttribute, "int", "{fault}", onBoth, "First touches."},
	{AttrStall, KindAttribute, "double", "s", []Carrier{OnSpan, OnBurst, OnEvent, OnWindow}, "Time that threads waited for them, summed."},
	{AttrStallMax, KindAttribute, "double", "s", onBoth, "The longest wait for a single one."},
	{AttrBlocked, KindAttribute, "double", "s", onSpan, "How long all Ps stood in page faults of others while it was open, so that nothing of the program ran: a lower bound; absent where they never did."},
	{AttrTouched, KindAttribute, "int", "By", []Carrier{OnSpan, OnBurst, OnWindow}, "Memory made accessible by them; on a burst each granule counts once."},
	{AttrRegions, KindAttribute, "string[]", "", onSpan, "The regions that were touched, in the order of their first touch, at most 8."},
	{AttrSlow, KindAttribute, "bool", "", onSpan, "Whether the stall reached the threshold for slow spans."},
	{AttrRegion, KindAttribute, "string", "", []Carrier{OnBurst, OnEvent, OnWindow}, "The region that was touched; absent on merged runs of several."},
	{AttrOffset, KindAttribute, "int", "By", onEvent, "The offset of the access in its region."},
	{AttrOffsetLow, KindAttribute, "int", "By", onBurst, "The lowest offset of an access in the region."},
	{AttrOffsetHigh, KindAttribute, "int", "By", onBurst, "The highest offset of an access in the region."},
	{AttrPattern, KindAttribute, "string", "", onBurst, "How the touches follow one another: sequential, strided or random, or single where there is one; absent on merged runs."},
	{AttrStride, KindAttribute, "int", "By", onBurst, "The distance from one touch to the next where the pattern is strided; negative is downwards."},
	{AttrAccess, KindAttribute, "string", "", onOurs, "read or write, or unknown where page faults are only observed; mixed where a burst has several."},
	{AttrSource, KindAttribute, "string", "", onOurs, "Where the contents came from: zero, page_cache, disk, memory (armed with its contents) or unknown; mixed where a burst has several."},
	{AttrGoroutine, KindAttribute, "int", "", onOurs, "The id of the goroutine, as in a stack dump; absent where it is not known."},
	{AttrMerged, KindAttribute, "int", "", onBurst, "How many runs, too small or too many to be shown alone, are merged into this span; absent on a run of its own."},
	{AttrUnseen, KindAttribute, "int", "{fault}", onBurst, "Of its first touches, those that are known by number only, because their records were dropped or were too many."},
	{AttrNew, KindAttribute, "int", "By", onWindow, "Of what was touched, what had not been in any window before."},
	{AttrReused, KindAttribute, "int", "By", onWindow, "Of what was touched, what had been in a window before."},
	{AttrMapped, KindAttribute, "int", "By", onWindow, "Memory of the region that is mapped and observed."},
	{AttrNever, KindAttribute, "int", "By", onWindow, "Of that, what was not touched in any window."},
	{AttrPhase, KindAttribute, "string", "", onWindow, "cold, warming, steady or thrashing."},
	{AttrFunction, KindAttribute, "string", "", onOurs, "The first caller outside the runtime, of the stack that waited longest."},
	{AttrFile, KindAttribute, "string", "", onOurs, "The source file of that caller."},
	{AttrLine, KindAttribute, "int", "", onOurs, "The line of that caller."},

	{SampleFaults, KindSampleType, "int", "count", nil, "First touches."},
	{SampleTouched, KindSampleType, "int", "bytes", nil, "Distinct memory touched; it adds up to what the region says."},
	{SampleStall, KindSampleType, "int", "nanoseconds", nil, "Time that threads waited for first touches."},
	{LabelRegion, KindLabel, "string", "", nil, "The region that was touched."},
	{LabelAccess, KindLabel, "string", "", nil, "read or write, or unknown where page faults are only observed."},
	{LabelActor, KindLabel, "string", "", nil, "On whose behalf the Go heap was touched: program, gc, runtime, profiler or unknown; absent on other regions."},
	{LabelSource, KindLabel, "string", "", nil, "Where the contents came from: zero, page_cache, disk, memory (armed with its contents) or unknown."},
	{LabelSpan, KindLabel, "string", "", nil, "The span that the toucher worked for, in hexadecimal; on request."},
	{LabelTrace, KindLabel, "string", "", nil, "The trace of that span, in hexadecimal; on request."},
	{FrameNoStack, KindFrame, "", "", nil, "Stands for the stack of first touches whose stack was not taken."},
	{FrameUnknownCode, KindFrame, "", "", nil, "Stands for a stack of which no address could be named."},
	{FrameNotLogged, KindFrame, "", "", nil, "Stands for what is in the totals but, as the log was full, not known by page or by first toucher."},
}
