package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/metric"
)

// Option configures Start. Options go before environment variables, and a later option before an
// earlier one.
type Option interface{ apply(*config) error }

type optionFunc func(*config) error

func (f optionFunc) apply(c *config) error { return f(c) }

// WithFiles sets which memory-mapped files are profiled: every mapping of this process, present or
// future, of a file whose absolute path matches one of the patterns of path/filepath.Match, in which an element ** stands for
// any number of directories.
// A relative pattern is taken from the working directory at Start. Files are never opened or
// created for this. Mappings are found some time after they were made (WithRescan), and at once with
// Agent.Look. The variable is FIRSTTOUCH_FILES, its patterns separated as in PATH.
func WithFiles(patterns ...string) Option {
	return named("WithFiles", func(c *config) error { return c.setFiles(patterns) })
}

// WithGrouping sets what the files that WithFiles finds are added up by in metrics and, once they have gone, in snapshots too; the
// default is GroupAuto. Files that are mapped now are listed each by itself, with its group. Choose GroupPattern or
// GroupDirectory where files come and go, as the segments of a log do. The variable is FIRSTTOUCH_GROUP.
func WithGrouping(g Grouping) Option {
	return named("WithGrouping", func(c *config) error { return c.setGrouping(g) })
}

// WithArenas sets which of the memory that Agent.Arena hands out is profiled, by patterns of the
// arena's name as in path.Match; without patterns, none is. The default is "*", all of it.
// The variable is FIRSTTOUCH_ARENAS.
func WithArenas(patterns ...string) Option {
	return named("WithArenas", func(c *config) error { return c.setArenas(patterns) })
}

// WithGoHeap profiles a share of the heap of the Go runtime, above 0 and at most 1, see
// profiler.Profiler.AttachGoHeap and what it costs there. 1/16 is a good share for a service. Without the
// option the heap is left alone. Where it cannot be profiled, Notes says why, or Start with Required. The
// variable is FIRSTTOUCH_GOHEAP.
func WithGoHeap(share float64) Option {
	return named("WithGoHeap", func(c *config) error { return c.setGoHeap(share) })
}

// WithGranule sets how many bytes one fault resolves, see profiler.WithGranule. The variable is
// FIRSTTOUCH_GRANULE.
func WithGranule(bytes int) Option {
	return named("WithGranule", func(c *config) error { return c.setGranule(bytes) })
}

// WithStacks sets which faults have their stack taken. The default is at most 1,000 a second, so that
// a storm of faults cannot make stacks expensive. Counts are exact whatever it is. The variable is
// FIRSTTOUCH_STACKS.
func WithStacks(s profiler.StackSampling) Option {
	return named("WithStacks", func(c *config) error { return c.setStacks(s) })
}

// WithDelivery sets how a first touch reaches the profiler, see profiler.WithDelivery. The default is profiler.DeliveryAuto, the best
// way in which no system call of the service can fail. The variable is FIRSTTOUCH_DELIVERY.
func WithDelivery(d profiler.Delivery) Option {
	return named("WithDelivery", func(c *config) error { return c.setDelivery(d) })
}

// WithBudget bounds what the profiler may cost: a share of one processor's time such as "1%", or first
// touches a second such as "500/s", see profiler.WithBudget. What is left out is said wherever results are shown, and counts are
// given as estimated from the sample, with their standard error. The default, "off", observes everything. The variable is
// FIRSTTOUCH_BUDGET.
func WithBudget(limit string) Option {
	return named("WithBudget", func(c *config) error { return c.setBudget(limit) })
}

// WithLogger has the agent write to the service's log: a line at the start that says what it observes or why it does nothing
// (Status), and then each of its Notes once, as a warning. Without it the agent logs nothing.
func WithLogger(log *slog.Logger) Option {
	return named("WithLogger", func(c *config) error {
		if log == nil {
			return fmt.Errorf("%w: a nil logger: leave the option out to log nothing", profiler.ErrInvalid)
		}
		c.log = log
		return nil
	})
}

// WithDebugAddr makes the agent serve Handler at a TCP address. Without it, and without the
// variable FIRSTTOUCH_DEBUG_ADDR, the agent listens on nothing. An address without a host, such as
// ":6070", means loopback (127.0.0.1); to be reachable from elsewhere, name the interface, such as
// "0.0.0.0:6070", and set a token (WithToken): without one whoever reaches the address sees file names,
// function names and offsets, and can have regions armed again. On loopback, requests for another host
// than localhost or an IP address are refused, so that no web page can have a browser read it.
func WithDebugAddr(addr string) Option {
	return named("WithDebugAddr", func(c *config) error { return c.setDebugAddr(addr) })
}

// WithToken makes Handler and the debug endpoint answer only requests that bring the secret, in a header
// "Authorization: Bearer SECRET". It has 16 characters or more. Browsers do not send it: use the command firsttouch,
// which reads it from the same variable, FIRSTTOUCH_TOKEN.
func WithToken(secret string) Option {
	return named("WithToken", func(c *config) error { return c.setToken(secret) })
}

// WithAddresses lets requests ask for addresses of this process (?addresses=true) beside the offsets. Who knows
// them can get around address space layout randomization.
func WithAddresses() Option {
	return named("WithAddresses", func(c *config) error { c.addresses = true; return nil })
}

// WithAdvice lets requests give the kernel advice about the memory of regions (POST advise, the command firsttouch advise, and a form on the
// page), see profiler.Region.Advise: it changes how the process reads, and can slow it down. The variable is FIRSTTOUCH_ADVICE.
func WithAdvice() Option {
	return named("WithAdvice", func(c *config) error { c.advice = true; return nil })
}

// WithLogLimit sets how many first touches a snapshot keeps in order, see profiler.WithLogLimit.
func WithLogLimit(faults int) Option {
	return named("WithLogLimit", func(c *config) error { return c.setLogLimit(faults) })
}

// WithRing sets how many records fit between the resolver and the totals, see profiler.WithRing.
func WithRing(records int) Option {
	return named("WithRing", func(c *config) error { return c.setRing(records) })
}

// WithFailingSystemCalls profiles also where the kernel serves faults of user mode only. There a system call that is
// handed profiled memory before its first touch fails with EFAULT: an answer of net/http, a file or a pipe ends early,
// read(2) into it and open(2) with a path in it fail, and futex(2) on a mutex in it has the C library abort the process.
// See profiler.WithFailingSystemCalls: give it where the service copies what it hands to system calls. Without it
// the agent does nothing there, and Reason says why. Writable shared mappings of files, where such mutexes lie,
// are then observed only where WithFiles has the path without *?[. The variable is
// FIRSTTOUCH_ALLOW_FAILING_SYSTEM_CALLS.
func WithFailingSystemCalls() Option {
	return named("WithFailingSystemCalls", func(c *config) error { c.failing = true; return nil })
}

// WithSignal sets the real-time signal that asks a thread for its stack, and to stop where mappings change, see
// profiler.WithSignal. Without it a free one is chosen.
func WithSignal(n int) Option {
	return named("WithSignal", func(c *config) error { return c.setSignal(n) })
}

// WithStopLimit sets for how long one operation may stop the service's other threads in all, see profiler.WithStopLimit.
// The variable is FIRSTTOUCH_STOP_LIMIT.
func WithStopLimit(most time.Duration) Option {
	return named("WithStopLimit", func(c *config) error { return c.setStopLimit(most) })
}

// WithRescan sets how often the agent looks for new mappings of the files of WithFiles, and the
// profiler for new mappings of files that it knows. What is touched between the making of a mapping and
// the next look stays unknown. The default is 100 ms; a look that takes processor time is followed by a rest of 50 times as much, of a
// second at most.
func WithRescan(every time.Duration) Option {
	return named("WithRescan", func(c *config) error { return c.setRescan(every) })
}

// WithWindows arms the regions of the agent again every so often, so that they show what is touched in each
// window, what of it is used again, and what has been idle for how long. Without it only the first touch
// of all is seen. The price is that what is used in every window faults in every window: choose 10 s or
// more for a service. What cannot be armed again says so in its windows. The variable is FIRSTTOUCH_WINDOWS.
func WithWindows(every time.Duration) Option {
	return named("WithWindows", func(c *config) error { return c.setWindows(every) })
}

// WithWindowSpans makes a span working_set.window of each window of each region, a trace of its own with links to
// the requests that waited longest in it: history for who has only traces. It takes the way of the first
// SpanProcessor.
func WithWindowSpans() Option {
	return named("WithWindowSpans", func(c *config) error { c.winSpans = true; return nil })
}

// WithFlightRecorder bounds the flight recorder, which holds the latest faults and requests for recordings:
// how long at least, and in how much memory, which goes before. The defaults are 10 s and 8 MiB.
func WithFlightRecorder(minAge time.Duration, maxBytes int) Option {
	return named("WithFlightRecorder", func(c *config) error {
		return errors.Join(c.setFlightAge(minAge), c.setFlightBytes(maxBytes))
	})
}

// WithRecordings sets the directory for recordings, which is made where it is missing. When and how many are
// written is for WithRecordSlow and WithRecordAtShutdown to say. The variable is
// FIRSTTOUCH_RECORD_DIR.
func WithRecordings(dir string) Option {
	return named("WithRecordings", func(c *config) error { return c.setRecordDir(dir) })
}

// WithRecordSlow has a recording of the latest faults and requests written when a request that had first touches
// took that long or longer: one in 10 s at most, and the last 16 are kept. Requests are the spans without
// a local parent that pass SpanProcessor. The variable is FIRSTTOUCH_RECORD_SLOW.
func WithRecordSlow(threshold time.Duration) Option {
	return named("WithRecordSlow", func(c *config) error { return c.setRecordSlow(threshold) })
}

// WithRecordAtShutdown has a recording written by Shutdown.
func WithRecordAtShutdown() Option {
	return named("WithRecordAtShutdown", func(c *config) error { c.recordEnd = true; return nil })
}

// WithPrefetch reads into the page cache, in the background, what the service touched first at earlier starts: the ranges of an order file
// that firsttouch prefetch wrote, in their order, or, with "learn:" and a directory, what more than half of the last five starts touched in their
// first two minutes, which the agent then writes there. It is read by file descriptors, with no memory of the service touched, and makes room for the service's own
// reads. It is done also where the system refuses to be profiled; then nothing is learned. GET /debug/firsttouch/prefetch has what it saved, and
// Notes what could not be read. The variable is FIRSTTOUCH_PREFETCH.
func WithPrefetch(order string) Option {
	return named("WithPrefetch", func(c *config) error { return c.setPrefetch(order) })
}

// WithPrefetchLimits bounds WithPrefetch: how many bytes it reads a second, where 0 is no bound; what share of the memory that is free at the start it
// may fill, above 0 and at most 1, where 0 is one half; and the directories whose files it may open, all without any.
func WithPrefetchLimits(bandwidth int64, memory float64, under ...string) Option {
	return named("WithPrefetchLimits", func(c *config) error { return c.setPrefetchLimits(bandwidth, memory, under) })
}

// WithTraceURL sets where a trace can be seen, for links from the requests of the live page: an http address with
// {trace} in place of the trace's id, and {span} in place of the request's if that is wanted.
func WithTraceURL(pattern string) Option {
	return named("WithTraceURL", func(c *config) error { return c.setTraceURL(pattern) })
}

// WithMeterProvider sets where the metrics go. By default that is the global provider, also when
// otel.SetMeterProvider is called after Start; faults before it are then missing from the histograms. What
// reads them, such as OTLP or Prometheus, is for the provider's readers to say: the agent links none.
func WithMeterProvider(p metric.MeterProvider) Option {
	return named("WithMeterProvider", func(c *config) error { c.meterProvider = p; return nil })
}

// WithoutMetrics makes no metrics.
func WithoutMetrics() Option {
	return named("WithoutMetrics", func(c *config) error { c.noMetrics = true; return nil })
}

// Required makes Start return an error where the system refuses to be profiled, instead of an
// agent that does nothing. The variable is FIRSTTOUCH_REQUIRED.
func Required() Option {
	return named("Required", func(c *config) error { c.required = true; return nil })
}

// WithShadow makes Start return an agent in shadow: it finds what would be armed and says what that would cost, see
// Agent.Shadow, its page and its JSON, and arms nothing and starts no thread. Together with WithDelivery(profiler.DeliveryObserve),
// which arms nothing either, it also says what of that was seen to be touched. The variable is FIRSTTOUCH_SHADOW.
func WithShadow() Option {
	return named("WithShadow", func(c *config) error { c.shadow = true; return nil })
}

// Disabled makes Start return an agent that does nothing, also together with Required: the switch
// for a service that links the agent and does not want it in this place. The variable is
// FIRSTTOUCH_DISABLED.
func Disabled() Option {
	return named("Disabled", func(c *config) error { c.disabled = true; return nil })
}

// named puts the option's name in front of its error.
func named(name string, f func(*config) error) Option {
	return optionFunc(func(c *config) error {
		if err := f(c); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}
