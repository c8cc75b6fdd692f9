package metrics

import (
	"errors"
	"fmt"

	"github.com/firsttouch/firsttouch/exporter"
	"go.opentelemetry.io/otel/metric"
)

// instruments are those of the catalogue.
type instruments struct {
	faults, messages, dropped       metric.Int64ObservableCounter
	overhead, threadsStopped        metric.Float64ObservableCounter
	procs, procsAll                 metric.Float64ObservableCounter
	mapped, touched, threadsStalled metric.Int64ObservableGauge
	resident, idle, phase, off      metric.Int64ObservableGauge
	faultStall, position            metric.Float64Histogram
	burstSize                       metric.Int64Histogram
	requestStall, requestBlocked    metric.Float64Histogram
	observed, budgetShare           metric.Float64ObservableGauge
	faultsEstimate                  metric.Float64ObservableCounter
	touchedEstimate                 metric.Int64ObservableGauge
	budgetChanges                   metric.Int64ObservableCounter
	budgetPaused                    metric.Float64ObservableCounter
}

// observables are the instruments that are read at a collection.
func (i *instruments) observables() []metric.Observable {
	return []metric.Observable{i.faults, i.messages, i.dropped, i.overhead, i.threadsStopped, i.procs, i.procsAll, i.off, i.mapped, i.touched, i.threadsStalled, i.resident, i.idle, i.phase,
		i.observed, i.faultsEstimate, i.touchedEstimate, i.budgetShare, i.budgetChanges, i.budgetPaused}
}

func newInstruments(m metric.Meter) (instruments, error) {
	b := builder{meter: m}
	i := instruments{
		faults:         b.counter(exporter.MetricFaults),
		messages:       b.counter(exporter.MetricMessages),
		dropped:        b.counter(exporter.MetricRecordsDropped),
		overhead:       b.real(exporter.MetricOverhead),
		threadsStopped: b.real(exporter.MetricThreadsStopped),
		procs:          b.real(exporter.MetricProcsBlocked),
		procsAll:       b.real(exporter.MetricProcsAllBlocked),
		off:            b.gauge(exporter.MetricOff),
		mapped:         b.gauge(exporter.MetricRegionMapped),
		touched:        b.gauge(exporter.MetricRegionTouched),
		resident:       b.gauge(exporter.MetricRegionResident),
		idle:           b.gauge(exporter.MetricRegionIdle),
		phase:          b.gauge(exporter.MetricRegionPhase),
		threadsStalled: b.gauge(exporter.MetricThreadsStalled),
		faultStall:     b.histogram(exporter.MetricFaultStall),
		position:       b.histogram(exporter.MetricFaultPosition),
		burstSize:      b.sizes(exporter.MetricBurstSize),
		requestStall:   b.histogram(exporter.MetricRequestStall),
		requestBlocked: b.histogram(exporter.MetricRequestBlocked),

		observed:        b.share(exporter.MetricRegionObserved),
		faultsEstimate:  b.real(exporter.MetricFaultsEstimate),
		touchedEstimate: b.gauge(exporter.MetricTouchedEstimate),
		budgetShare:     b.share(exporter.MetricBudgetShare),
		budgetChanges:   b.counter(exporter.MetricBudgetChanges),
		budgetPaused:    b.real(exporter.MetricBudgetPaused),
	}
	return i, errors.Join(b.errs...)
}

// builder makes instruments as the catalogue describes them.
type builder struct {
	meter metric.Meter
	errs  []error
}

func (b *builder) entry(name string, kind exporter.Instrument) exporter.Metric {
	m, ok := exporter.LookupMetric(name)
	if !ok || m.Instrument != kind {
		b.errs = append(b.errs, fmt.Errorf("%s is no %s of the catalogue", name, kind))
	}
	return m
}

func made[T any](b *builder, i T, err error) T {
	if err != nil {
		b.errs = append(b.errs, err)
	}
	return i
}

func (b *builder) counter(name string) metric.Int64ObservableCounter {
	m := b.entry(name, exporter.Counter)
	i, err := b.meter.Int64ObservableCounter(name, metric.WithUnit(m.Unit), metric.WithDescription(m.Text))
	return made(b, i, err)
}

func (b *builder) real(name string) metric.Float64ObservableCounter {
	m := b.entry(name, exporter.Counter)
	i, err := b.meter.Float64ObservableCounter(name, metric.WithUnit(m.Unit), metric.WithDescription(m.Text))
	return made(b, i, err)
}

func (b *builder) share(name string) metric.Float64ObservableGauge {
	m := b.entry(name, exporter.Gauge)
	i, err := b.meter.Float64ObservableGauge(name, metric.WithUnit(m.Unit), metric.WithDescription(m.Text))
	return made(b, i, err)
}

func (b *builder) gauge(name string) metric.Int64ObservableGauge {
	m := b.entry(name, exporter.Gauge)
	i, err := b.meter.Int64ObservableGauge(name, metric.WithUnit(m.Unit), metric.WithDescription(m.Text))
	return made(b, i, err)
}

func (b *builder) histogram(name string) metric.Float64Histogram {
	m := b.entry(name, exporter.Histogram)
	i, err := b.meter.Float64Histogram(name, metric.WithUnit(m.Unit), metric.WithDescription(m.Text),
		metric.WithExplicitBucketBoundaries(m.Bounds...))
	return made(b, i, err)
}

func (b *builder) sizes(name string) metric.Int64Histogram {
	m := b.entry(name, exporter.Histogram)
	i, err := b.meter.Int64Histogram(name, metric.WithUnit(m.Unit), metric.WithDescription(m.Text),
		metric.WithExplicitBucketBoundaries(m.Bounds...))
	return made(b, i, err)
}
