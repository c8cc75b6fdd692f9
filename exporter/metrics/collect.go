package metrics

import (
	"context"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// collect answers one collection from one snapshot. The SDK asks observable instruments before it reads
// the histograms, so that what is recorded here is in them.
func (e *Exporter) collect(_ context.Context, o metric.Observer) error {
	e.mu.Lock()
	src, name := e.src, e.names
	e.mu.Unlock()
	if src == nil {
		return nil
	}
	// Before the snapshot, which waits until faults in flight are over.
	stalled := src.Stalled()
	now := e.now()
	s := src.Snapshot()
	e.record()
	e.mu.Lock()
	// Faults claimed before now have been recorded: a run without one for a gap is over.
	e.rec.settle(now)
	e.mu.Unlock()

	o.ObserveInt64(e.ins.threadsStalled, int64(stalled))
	o.ObserveInt64(e.ins.messages, int64(s.Stats.Messages))
	o.ObserveFloat64(e.ins.overhead, s.Stats.Overhead.Seconds())
	o.ObserveFloat64(e.ins.threadsStopped, s.Stats.Stopped.Seconds())
	o.ObserveFloat64(e.ins.procs, s.Stats.Blocked.Sum.Seconds())
	o.ObserveFloat64(e.ins.procsAll, s.Stats.Blocked.All.Seconds())
	off := int64(0)
	if s.Stats.Off != "" {
		off = 1
	}
	o.ObserveInt64(e.ins.off, off)
	for reason, n := range map[string]uint64{
		exporter.ReasonRingFull: s.Stats.Dropped, exporter.ReasonLogFull: s.Stats.LogCut, exporter.ReasonQueueFull: e.lost.Load(),
	} {
		o.ObserveInt64(e.ins.dropped, int64(n), option(attribute.String(exporter.KeyReason, reason)))
	}
	e.observeFaults(o, s, name)
	e.observeRegions(o, s, name)
	e.observeSampling(o, s, name)
	e.observeResident(o, s, src.Resident(), name)
	e.observeWindows(o, name)
	return nil
}

// faultKey is an attribute set of the faults.
type faultKey struct {
	region string
	access profiler.Access
	source profiler.Source
}

func (e *Exporter) observeFaults(o metric.Observer, s *profiler.Snapshot, name *names) {
	faults := make(map[faultKey]uint64)
	for _, g := range s.Groups {
		faults[faultKey{name.of(g.Region), g.Access, g.Source}] += g.Faults
	}
	for k, n := range faults {
		o.ObserveInt64(e.ins.faults, int64(n), option(
			attribute.String(exporter.KeyRegion, k.region), attribute.String(exporter.KeyAccess, k.access.String()),
			attribute.String(exporter.KeySource, k.source.String()), attribute.String(exporter.KeyResult, exporter.ResultRecorded)))
	}
	o.ObserveInt64(e.ins.faults, int64(s.Stats.Dropped), option(attribute.String(exporter.KeyResult, exporter.ResultDropped)))
}

// observeSampling says how much is observed, and what there was by estimate.
func (e *Exporter) observeSampling(o metric.Observer, s *profiler.Snapshot, name *names) {
	type sampled struct{ observed, faults, touched float64 }
	regions := make(map[string]sampled)
	for i := range s.Regions {
		r := &s.Regions[i]
		n := name.of(r.ID)
		v, ok := regions[n]
		if !ok {
			v.observed = 1
		}
		if !r.Detached {
			v.observed = min(v.observed, r.Share())
		}
		v.faults += r.Estimate.Faults
		v.touched += r.Estimate.Touched
		regions[n] = v
	}
	for n, v := range regions {
		region := attribute.String(exporter.KeyRegion, n)
		o.ObserveFloat64(e.ins.observed, v.observed, option(region))
		o.ObserveFloat64(e.ins.faultsEstimate, v.faults, option(region))
		o.ObserveInt64(e.ins.touchedEstimate, int64(v.touched), option(region, attribute.String(exporter.KeyWindow, exporter.WindowTotal)))
	}
	b := s.Stats.Budget
	if b.Limit == "" {
		b.Share = 1
	}
	o.ObserveFloat64(e.ins.budgetShare, b.Share)
	o.ObserveInt64(e.ins.budgetChanges, int64(b.Cuts), option(attribute.String(exporter.KeyChange, exporter.ChangeLess)))
	o.ObserveInt64(e.ins.budgetChanges, int64(b.Raises), option(attribute.String(exporter.KeyChange, exporter.ChangeMore)))
	o.ObserveFloat64(e.ins.budgetPaused, b.Paused.Seconds())
}
