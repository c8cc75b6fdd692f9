package metrics

import (
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

// defaultQueue is how many faults may wait for the goroutine that records them, 88 bytes each.
const defaultQueue = 1 << 18

type config struct {
	provider metric.MeterProvider
	queue    int
	windows  func() []profiler.RegionWindow
}

// Option configures an Exporter.
type Option interface{ apply(config) config }

type optionFunc func(config) config

func (f optionFunc) apply(c config) config { return f(c) }

func newConfig(opts []Option) config {
	c := config{queue: defaultQueue}
	for _, o := range opts {
		c = o.apply(c)
	}
	if c.provider == nil {
		c.provider = otel.GetMeterProvider()
	}
	return c
}

// WithMeterProvider sets where the instruments are made. By default, and for nil, that is the global
// provider, also when it is set after New.
func WithMeterProvider(p metric.MeterProvider) Option {
	return optionFunc(func(c config) config { c.provider = p; return c })
}

// WithWindows sets where the windows that ended last are asked for at each collection, one a region. Without
// it there are no metrics of windows but those since the start.
func WithWindows(latest func() []profiler.RegionWindow) Option {
	return optionFunc(func(c config) config { c.windows = latest; return c })
}

// WithQueue sets how many faults may wait to be recorded. Those that find no place are missing from the
// histograms, and counted. The default, also for 0 and less, is 262,144.
func WithQueue(faults int) Option {
	return optionFunc(func(c config) config {
		if faults <= 0 {
			faults = defaultQueue
		}
		c.queue = faults
		return c
	})
}
