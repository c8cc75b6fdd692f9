package traces

import (
	"time"

	"go.opentelemetry.io/otel/trace"
)

const (
	defaultSlow  = 10 * time.Millisecond
	defaultQueue = 1024
)

type config struct {
	provider trace.TracerProvider // nil: the span's own
	slow     time.Duration
	event    time.Duration // 0: no events
	queue    int
}

// Option configures a Processor.
type Option interface{ apply(config) config }

type optionFunc func(config) config

func (f optionFunc) apply(c config) config { return f(c) }

func newConfig(opts []Option) config {
	c := config{slow: defaultSlow, queue: defaultQueue}
	for _, o := range opts {
		c = o.apply(c)
	}
	return c
}

// WithTracerProvider sets the provider that bursts are started with. By default, and for nil, that
// is the provider of the span that they belong to, so that they take its way.
// Processor.SetTracerProvider does the same later.
func WithTracerProvider(p trace.TracerProvider) Option {
	return optionFunc(func(c config) config { c.provider = p; return c })
}

// WithSlow sets from which summed wait a span is marked firsttouch.slow. The default, also for 0 and
// less, is 10 ms.
func WithSlow(stall time.Duration) Option {
	return optionFunc(func(c config) config {
		if stall <= 0 {
			stall = defaultSlow
		}
		c.slow = stall
		return c
	})
}

// WithFaultEvents adds an event firsttouch.slow_fault to bursts for each single fault that waited this
// long or longer, the 8 longest of a span. By default, and for 0 and less, there are none.
func WithFaultEvents(stall time.Duration) Option {
	return optionFunc(func(c config) config { c.event = max(stall, 0); return c })
}

// WithQueue sets how many ended spans may wait for their bursts. The default, also for 0 and less, is
// 1,024.
func WithQueue(spans int) Option {
	return optionFunc(func(c config) config {
		if spans <= 0 {
			spans = defaultQueue
		}
		c.queue = spans
		return c
	})
}
