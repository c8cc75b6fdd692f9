package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/internal/endpoint"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/metric"
)

// defaultStacksPerSecond bounds what stacks may cost, see WithStacks.
const defaultStacksPerSecond = 1000

// config is what variables and options set, in this order: the setters are shared, so that both
// are held to the same rules.
type config struct {
	files     []string // absolute patterns
	grouping  Grouping
	arenas    []string
	goHeap    float64 // share, 0 is none
	failing   bool    // see WithFailingSystemCalls
	delivery  profiler.Delivery
	debugAddr string // host:port, or empty
	token     string // or empty
	addresses bool   // may be asked for
	advice    bool   // may be given by requests
	rescan    time.Duration
	required  bool
	disabled  bool
	shadow    bool
	granule   int           // 0: the page size
	windows   time.Duration // 0: none
	winSpans  bool
	traceURL  string // or empty
	noMetrics bool
	log       *slog.Logger // or nil
	// meterProvider is nil for the global one.
	meterProvider metric.MeterProvider

	ahead      ahead
	flight     recording.FlightConfig
	recordDir  string // or empty
	recordSlow time.Duration
	recordEnd  bool

	// engine holds the profiler's options in order; of two of a kind the later one counts.
	engine []profiler.Option
}

func newConfig(environ []string, opts []Option) (c config, notes []string, err error) {
	c = config{arenas: []string{"*"}}
	errs := []error{c.setStacks(profiler.StacksPerSecond(defaultStacksPerSecond)), c.setRescan(100 * time.Millisecond), c.setDelivery(profiler.DeliveryAuto)}
	notes, err = c.fromEnviron(environ)
	errs = append(errs, err)
	for _, o := range opts {
		errs = append(errs, o.apply(&c))
	}
	errs = append(errs, c.checkRecordings())
	return c, notes, errors.Join(errs...)
}

func (c *config) setFiles(patterns []string) error {
	c.files = nil
	for _, p := range patterns {
		if p == "" {
			continue
		}
		if err := checkPattern(p); err != nil {
			return err
		}
		abs, err := filepath.Abs(p)
		if err != nil {
			return fmt.Errorf("%w: %q is relative and the working directory is unknown, give an absolute pattern: %w", profiler.ErrInvalid, p, err)
		}
		c.files = append(c.files, abs)
	}
	return nil
}

func (c *config) setGrouping(g Grouping) error {
	if g > GroupPattern {
		return fmt.Errorf("%w: grouping %d: choose GroupAuto, GroupFile, GroupDirectory or GroupPattern", profiler.ErrInvalid, g)
	}
	c.grouping = g
	return nil
}

func (c *config) setArenas(patterns []string) error {
	c.arenas = nil
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("%w: %q is not a pattern: close every '[', and put '\\' in front of a special character of a name", profiler.ErrInvalid, p)
		}
		c.arenas = append(c.arenas, p)
	}
	return nil
}

func (c *config) setGoHeap(share float64) error {
	if !(share > 0 && share <= 1) {
		return fmt.Errorf("%w: share %v of the Go heap: choose more than 0 and at most 1", profiler.ErrInvalid, share)
	}
	c.goHeap = share
	return nil
}

// wantsArena reports whether the memory of that name is to be profiled.
func (c *config) wantsArena(name string) bool {
	for _, p := range c.arenas {
		if ok, err := path.Match(p, name); p == "*" || ok && err == nil {
			return true
		}
	}
	return false
}

// setEngine hands an option on to the profiler, which says what it refuses.
func (c *config) setEngine(o profiler.Option) error {
	c.engine = append(c.engine, o)
	return profiler.Check(o)
}

func (c *config) setGranule(bytes int) error {
	c.granule = bytes
	return c.setEngine(profiler.WithGranule(bytes))
}

func (c *config) setDelivery(d profiler.Delivery) error {
	c.delivery = d
	return c.setEngine(profiler.WithDelivery(d))
}

func (c *config) setBudget(limit string) error { return c.setEngine(profiler.WithBudget(limit)) }

func (c *config) setStacks(s profiler.StackSampling) error {
	return c.setEngine(profiler.WithStacks(s))
}

func (c *config) setLogLimit(faults int) error { return c.setEngine(profiler.WithLogLimit(faults)) }

func (c *config) setRing(records int) error { return c.setEngine(profiler.WithRing(records)) }

func (c *config) setSignal(n int) error { return c.setEngine(profiler.WithSignal(n)) }

func (c *config) setStopLimit(most time.Duration) error {
	return c.setEngine(profiler.WithStopLimit(most))
}

func (c *config) setRescan(every time.Duration) error {
	c.rescan = every
	return c.setEngine(profiler.WithRescan(every))
}

// checkTraceURL reports why a text cannot be the address of traces, see WithTraceURL.
func checkTraceURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || !strings.Contains(text, "{trace}") || strings.ContainsAny(text, "\r\n") {
		return fmt.Errorf("%w: %q is no address of traces: write it with {trace} for the id, such as http://localhost:16686/trace/{trace}", profiler.ErrInvalid, text)
	}
	return nil
}

func (c *config) setTraceURL(text string) error {
	c.traceURL = text
	return checkTraceURL(text)
}

// shortestWindow keeps the arming from being most of what goes on.
const shortestWindow = 100 * time.Millisecond

func (c *config) setWindows(every time.Duration) error {
	if every < shortestWindow && every != 0 {
		return fmt.Errorf("%w: windows of %v: choose %v or more, or 0 for none", profiler.ErrInvalid, every, shortestWindow)
	}
	c.windows = every
	return nil
}

// setDebugAddr takes host:port. Without a host it is loopback: net.Listen would take every
// interface, and what the endpoint shows is nobody else's business by default.
func (c *config) setDebugAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%w: %q is not host:port: write ':6070' for loopback, or '0.0.0.0:6070' for every interface", profiler.ErrInvalid, addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%w: port %q is not a number from 0 to 65535", profiler.ErrInvalid, port)
	}
	c.debugAddr = endpoint.Address(addr)
	return nil
}

// shortestAge and smallestFlight keep a flight recorder one that records something.
const (
	shortestAge    = time.Millisecond
	smallestFlight = 64 << 10
)

func (c *config) setFlightAge(d time.Duration) error {
	if d < shortestAge {
		return fmt.Errorf("%w: flight recorder of %v: choose %v or more", profiler.ErrInvalid, d, shortestAge)
	}
	c.flight.MinAge = d
	return nil
}

func (c *config) setFlightBytes(n int) error {
	if n < smallestFlight {
		return fmt.Errorf("%w: flight recorder of %d bytes: choose %d or more", profiler.ErrInvalid, n, smallestFlight)
	}
	c.flight.MaxBytes = n
	return nil
}

func (c *config) setToken(token string) error {
	if err := endpoint.CheckToken(token); err != nil {
		return fmt.Errorf("%w: %w", profiler.ErrInvalid, err)
	}
	c.token = token
	return nil
}

func (c *config) setRecordDir(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil || dir == "" {
		return fmt.Errorf("%w: directory %q for recordings: give an absolute path", profiler.ErrInvalid, dir)
	}
	c.recordDir = abs
	return nil
}

func (c *config) setRecordSlow(d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("%w: slow requests of %v: choose a duration above 0", profiler.ErrInvalid, d)
	}
	c.recordSlow = d
	return nil
}

func (c *config) checkRecordings() error {
	if c.recordDir == "" && (c.recordSlow > 0 || c.recordEnd) {
		return fmt.Errorf("%w: recordings are wanted and have no place: name a directory with WithRecordings or FIRSTTOUCH_RECORD_DIR", profiler.ErrInvalid)
	}
	return nil
}
