package exporter

// Spans and span events.
const (
	SpanBurst      = "page_fault.burst"
	SpanWindow     = "working_set.window"
	EventSlowFault = "firsttouch.slow_fault"
)

// Attributes of spans and span events.
const (
	AttrFaults     = "firsttouch.faults"
	AttrStall      = "firsttouch.stall"
	AttrStallMax   = "firsttouch.stall.max"
	AttrBlocked    = "firsttouch.blocked"
	AttrTouched    = "firsttouch.touched"
	AttrRegions    = "firsttouch.regions"
	AttrSlow       = "firsttouch.slow"
	AttrRegion     = "firsttouch.region"
	AttrOffset     = "firsttouch.offset"
	AttrOffsetLow  = "firsttouch.offset.lowest"
	AttrOffsetHigh = "firsttouch.offset.highest"
	AttrPattern    = "firsttouch.pattern"
	AttrStride     = "firsttouch.stride"
	AttrAccess     = "firsttouch.access"
	AttrSource     = "firsttouch.source"
	AttrGoroutine  = "firsttouch.goroutine"
	AttrMerged     = "firsttouch.bursts.merged"
	AttrUnseen     = "firsttouch.faults.unseen"
	AttrNew        = "firsttouch.new"
	AttrReused     = "firsttouch.reused"
	AttrMapped     = "firsttouch.mapped"
	AttrNever      = "firsttouch.never"
	AttrPhase      = "firsttouch.phase"

	// The names that OpenTelemetry gives to a place in the code.
	AttrFunction = "code.function.name"
	AttrFile     = "code.file.path"
	AttrLine     = "code.line.number"
)

// Values of AttrPattern, and of AttrAccess and AttrSource where the faults of a burst differ.
const (
	PatternSequential = "sequential"
	PatternStrided    = "strided"
	PatternRandom     = "random"
	PatternSingle     = "single"
	Mixed             = "mixed"
)

// Sample types and labels of pprof profiles.
const (
	SampleFaults  = "faults"
	SampleTouched = "touched"
	SampleStall   = "stall"

	LabelRegion = "region"
	LabelAccess = "access"
	LabelSource = "source"
	LabelActor  = "actor"
	LabelSpan   = "span_id"
	LabelTrace  = "trace_id"
)

// Synthetic frames of pprof profiles: what is known of a sample where there is no code or no page.
const (
	FrameNoStack     = "[no stack taken]"
	FrameUnknownCode = "[code without symbols]"
	FrameNotLogged   = "[not in the log]"
)
