package exporter

// Metrics.
const (
	MetricFaults         = "firsttouch.faults"
	MetricMessages       = "firsttouch.messages"
	MetricFaultStall     = "firsttouch.fault.stall"
	MetricFaultPosition  = "firsttouch.fault.position"
	MetricBurstSize      = "firsttouch.burst.size"
	MetricRequestStall   = "firsttouch.request.stall"
	MetricRegionMapped   = "firsttouch.region.mapped"
	MetricRegionTouched  = "firsttouch.region.touched"
	MetricThreadsStalled = "firsttouch.threads.stalled"
	MetricRecordsDropped = "firsttouch.records.dropped"
	MetricOverhead       = "firsttouch.overhead"

	MetricRegionObserved  = "firsttouch.region.observed"
	MetricFaultsEstimate  = "firsttouch.faults.estimate"
	MetricTouchedEstimate = "firsttouch.region.touched.estimate"
	MetricBudgetShare     = "firsttouch.budget.share"
	MetricBudgetChanges   = "firsttouch.budget.changes"
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

// WindowTotal is the value of KeyWindow for all since the start.
const WindowTotal = "total"

// RegionOther is the value of KeyRegion for the regions beyond MetricRegions.
const RegionOther = "(other)"
