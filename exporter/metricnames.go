package exporter

// Metrics.
const (
	MetricFaults          = "firsttouch.faults"
	MetricMessages        = "firsttouch.messages"
	MetricFaultStall      = "firsttouch.fault.stall"
	MetricFaultPosition   = "firsttouch.fault.position"
	MetricBurstSize       = "firsttouch.burst.size"
	MetricRequestStall    = "firsttouch.request.stall"
	MetricRequestBlocked  = "firsttouch.request.blocked"
	MetricProcsBlocked    = "firsttouch.processors.blocked"
	MetricProcsAllBlocked = "firsttouch.processors.blocked.all"
	MetricRegionMapped    = "firsttouch.region.mapped"
	MetricRegionTouched   = "firsttouch.region.touched"
	MetricRegionResident  = "firsttouch.region.resident"
	MetricRegionIdle      = "firsttouch.region.idle"
	MetricRegionPhase     = "firsttouch.region.phase"
	MetricThreadsStalled  = "firsttouch.threads.stalled"
	MetricRecordsDropped  = "firsttouch.records.dropped"
	MetricOverhead        = "firsttouch.overhead"
	MetricThreadsStopped  = "firsttouch.threads.stopped"
	MetricOff             = "firsttouch.off"

	MetricRegionObserved  = "firsttouch.region.observed"
	MetricFaultsEstimate  = "firsttouch.faults.estimate"
	MetricTouchedEstimate = "firsttouch.region.touched.estimate"
	MetricBudgetShare     = "firsttouch.budget.share"
	MetricBudgetChanges   = "firsttouch.budget.changes"
	MetricBudgetPaused    = "firsttouch.budget.paused"
)

// Attributes of metrics.
const (
	KeyRegion = "region"
	KeyAccess = "access"
	KeySource = "source"
	KeyResult = "result"
	KeyReason = "reason"
	KeyWindow = "window"
	KeyChange = "change"
	KeyIdle   = "idle"
	KeyPhase  = "phase"
)

// Values of KeyResult.
const (
	ResultRecorded = "recorded"
	ResultDropped  = "dropped"
)

// Values of KeyChange.
const (
	ChangeLess = "less"
	ChangeMore = "more"
)

// Values of KeyReason.
const (
	ReasonRingFull  = "ring_full"
	ReasonLogFull   = "log_full"
	ReasonQueueFull = "metrics_queue_full"
)

// Values of KeyWindow.
const (
	WindowTotal = "total" // all since the start
	Window1s    = "1s"
	Window10s   = "10s"
	Window60s   = "60s"
)

// Values of KeyIdle.
const (
	Idle30s = "30s"
	Idle2m  = "2m"
	Idle10m = "10m"
)

// RegionOther is the value of KeyRegion for the regions beyond MetricRegions.
const RegionOther = "(other)"
