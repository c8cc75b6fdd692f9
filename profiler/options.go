package profiler

import (
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/uffd"
)

// config is what the options set; the zero value is never used, see defaultConfig.
type config struct {
	granule   int
	ring      int
	logLimit  int
	stacks    StackSampling
	signal    int           // 0 chooses one
	stopLimit time.Duration // 0 is the engine's default
	rescan    time.Duration
	delivery  Delivery
	failing   bool          // see WithFailingSystemCalls
	observe   []func(Fault) // see WithObserver
	budget    costLimit
	seed      uint64 // of the choice of blocks where a share of a region is observed
}

func defaultConfig() config {
	return config{ring: 1 << 17, logLimit: 1 << 18, stacks: StacksEvery(), rescan: 100 * time.Millisecond}
}

// Option configures a Profiler.
type Option interface{ apply(*config) error }

// Check reports which of the options New would refuse, and why: ErrInvalid. It starts nothing.
func Check(opts ...Option) error {
	_, err := newConfig(opts)
	return err
}

func newConfig(opts []Option) (config, error) {
	c := defaultConfig()
	for _, o := range opts {
		if err := o.apply(&c); err != nil {
			return c, err
		}
	}
	return c, nil
}

type optionFunc func(*config) error

func (f optionFunc) apply(c *config) error { return f(c) }

// WithGranule sets how many bytes one fault resolves, for regions that do not set their own:
// a power of two, at least the kernel's page size, which is the default.
func WithGranule(bytes int) Option {
	return optionFunc(func(c *config) error { c.granule = bytes; return checkGranule(bytes) })
}

// WithRing sets how many records fit between the resolver and the aggregate; rounded up to a
// power of two, 64 bytes each. The default is 131,072. When it is full, records are dropped and counted.
func WithRing(records int) Option {
	return optionFunc(func(c *config) error {
		if records < 64 || records > 1<<24 {
			return fmt.Errorf("%w: ring of %d records: choose 64 to 16,777,216", ErrInvalid, records)
		}
		c.ring = records
		return nil
	})
}

// WithLogLimit sets how many faults a Snapshot's log holds at most. The default is 262,144.
// Totals stay exact beyond it.
func WithLogLimit(faults int) Option {
	return optionFunc(func(c *config) error {
		if faults < 0 {
			return fmt.Errorf("%w: log limit %d is negative: choose 0 or more", ErrInvalid, faults)
		}
		c.logLimit = faults
		return nil
	})
}

// WithStacks sets which faults have their stack taken. The default is every fault.
func WithStacks(s StackSampling) Option {
	return optionFunc(func(c *config) error { c.stacks = s; return nil })
}

// WithSignal sets the real-time signal that asks a thread for its stack, and to stop where mappings change. Without it
// one is chosen that is free: from 63 downwards one that has no handler, or Go's own, which Go gives to all of them and
// which still gets what is not the profiler's, and that no thread blocks. One that is chosen here must be such a signal
// too when New is called, 34 to 64.
//
// When other code installs a handler of its own later (Stats.SignalTaken), or sets the signal to its default action or to
// be ignored, the profiler sends no more of them. It goes on with another free signal, but not where one was chosen here:
// then no stack is taken any more, and mappings that others made can neither be armed nor given back without WithGuard:
// ErrSignalTaken. It looks before it stops threads, and else at most every 10 ms. So a signal that was sent within these
// 10 ms may reach the other handler, or, after it was set to its default action, end the process.
func WithSignal(n int) Option {
	return optionFunc(func(c *config) error {
		if n < 34 || n > 64 {
			return fmt.Errorf("%w: signal %d: choose a real-time signal from 34 to 64", ErrInvalid, n)
		}
		c.signal = n
		return nil
	})
}

// WithStopLimit sets for how long one operation (AttachFile, AttachMemory, Rearm, SetSampling, Close) may stop the
// process's other threads in all, where it has to: 1 ms to 10 s. The default is 20 ms. Each further mapping of the region
// adds half a millisecond. An operation that could not be done within it is ErrBusy, and nobody is stopped again for
// fifty times as long, a second at most.
func WithStopLimit(most time.Duration) Option {
	return optionFunc(func(c *config) error {
		if most < time.Millisecond || most > 10*time.Second {
			return fmt.Errorf("%w: stop threads for at most %v: choose 1ms to 10s", ErrInvalid, most)
		}
		c.stopLimit = most
		return nil
	})
}

// WithRescan sets how often attached files are looked up in /proc/self/maps for mappings that are
// new, moved or gone. The default is 100 ms.
func WithRescan(every time.Duration) Option {
	return optionFunc(func(c *config) error {
		if every < time.Millisecond {
			return fmt.Errorf("%w: rescan every %v: choose 1ms or more", ErrInvalid, every)
		}
		c.rescan = every
		return nil
	})
}

// WithObserver sets a function that sees every fault whose record reached the totals, also those that no longer
// fit into the log: in claim order, one call at a time, shortly after the fault. It must return soon
// and not call the profiler. Several observers each see every fault.
func WithObserver(observe func(Fault)) Option {
	return optionFunc(func(c *config) error { c.observe = append(c.observe, observe); return nil })
}

func checkShare(share float64) error {
	if !(share >= 0 && share <= 1) {
		return fmt.Errorf("%w: observe a share of %v: choose 0 to 1", ErrInvalid, share)
	}
	return nil
}

// StackSampling chooses the faults whose stack is taken. Counts are exact whatever it says.
type StackSampling struct {
	every  uint32 // 1 in every; 0 is none
	perSec uint32 // at most; 0 is unbounded
}

// StacksEvery takes the stack of every fault.
func StacksEvery() StackSampling { return StackSampling{every: 1} }

// StacksNone takes no stacks. Goroutines and spans are still known.
func StacksNone() StackSampling { return StackSampling{} }

// StacksOneIn takes the stack of one fault in n.
func StacksOneIn(n int) StackSampling { return StackSampling{every: uint32(max(n, 1))} }

// StacksPerSecond takes at most n stacks a second.
func StacksPerSecond(n int) StackSampling { return StackSampling{every: 1, perSec: uint32(max(n, 1))} }

// AtMost bounds it to n stacks a second.
func (s StackSampling) AtMost(n int) StackSampling {
	if s.every != 0 && (s.perSec == 0 || s.perSec > uint32(n)) {
		s.perSec = uint32(max(n, 1))
	}
	return s
}

// String says it in words.
func (s StackSampling) String() string {
	switch {
	case s.every == 0:
		return "none"
	case s.perSec > 0:
		return fmt.Sprintf("at most %d/s", s.perSec)
	case s.every == 1:
		return "every fault"
	}
	return fmt.Sprintf("1 in %d", s.every)
}

// RegionOption configures one region.
type RegionOption interface{ applyRegion(*regionConfig) error }

type regionConfig struct {
	name    string
	group   string // or empty
	granule int
	least   int // of the granule: the size of the region's pages
	guard   Guard
	writes  bool
	leave   bool // mappings that can be written to
	// untilUnmapped: see UntilUnmapped.
	untilUnmapped bool
	share         float64 // of the Go heap's blocks
}

type regionOptionFunc func(*regionConfig) error

func (f regionOptionFunc) applyRegion(c *regionConfig) error { return f(c) }

// Guard runs critical, once, while the owner of the mappings guarantees that it neither unmaps nor moves
// them, and reports why it could not. For bbolt: inside a read transaction.
type Guard func(critical func()) error

// WithGuard spares the engine from parking the process's other threads for the moments in which it
// changes mappings that other code owns.
func WithGuard(g Guard) RegionOption {
	return regionOptionFunc(func(c *regionConfig) error { c.guard = g; return nil })
}

// WithName names a region in every output; the default is the path, or the arena's name.
func WithName(name string) RegionOption {
	return regionOptionFunc(func(c *regionConfig) error { c.name = name; return nil })
}

// WithGroup sets what the region's totals are added to in metrics, and after it was closed: regions that come and go, such as the
// segments of a log, belong to one group. The default is the region's name. A profiler has at most 1,024 groups; regions of
// further ones are of OtherGroup.
func WithGroup(name string) RegionOption {
	return regionOptionFunc(func(c *regionConfig) error { c.group = name; return nil })
}

// WithHeapShare sets which share of the Go heap's blocks of 2 MiB is observed, above 0 and at most 1, which
// is all; see AttachGoHeap. What is not observed costs nothing.
func WithHeapShare(share float64) RegionOption {
	return regionOptionFunc(func(c *regionConfig) error {
		if !(share > 0 && share <= 1) {
			return fmt.Errorf("%w: share %v of the heap: choose more than 0 and at most 1", ErrInvalid, share)
		}
		c.share = share
		return nil
	})
}

// WithRegionGranule sets how many bytes one fault of this region resolves, see WithGranule.
func WithRegionGranule(bytes int) RegionOption {
	return regionOptionFunc(func(c *regionConfig) error { c.granule = bytes; return checkGranule(bytes) })
}

// WithWritesOnly observes writes alone: a granule's first write since it was armed, and no read. Reads cost
// nothing, no page is moved or taken from the page tables, and no thread is stopped to arm it. For arenas,
// private and shared memory, and huge pages of both kinds; not for files on a disk, of whose writes the
// kernel tells neither moment nor thread. It needs Linux 6.4. Private memory that its owner discards
// (MADV_DONTNEED) loses the protection until it is armed again: RegionStats.Discarded.
func WithWritesOnly() RegionOption {
	return regionOptionFunc(func(c *regionConfig) error { c.writes = true; return nil })
}

// WithoutWritableMappings leaves those shared mappings of an attached file alone that can be written to, and gives back
// one that becomes so, at the next look (WithRescan): mutexes and futexes may lie there, whose system calls fail where
// faults of system calls are not served (Stats.UserModeOnly). The agent gives it there for files that a pattern found.
func WithoutWritableMappings() RegionOption {
	return regionOptionFunc(func(c *regionConfig) error { c.leave = true; return nil })
}

// UntilUnmapped closes the region of an attached file by itself when the file has had no mapping for ten seconds, or for one where it
// was deleted, renamed or replaced too. Attach the file again when it is mapped again. The agent gives it for files that a pattern found.
func UntilUnmapped() RegionOption {
	return regionOptionFunc(func(c *regionConfig) error { c.untilUnmapped = true; return nil })
}

// withLeastGranule is the size of the region's pages, where they are huge.
func withLeastGranule(bytes uintptr) RegionOption {
	return regionOptionFunc(func(c *regionConfig) error { c.least = int(bytes); return nil })
}

func checkGranule(bytes int) error {
	page := uffd.PageSize()
	if bytes < page || bytes&(bytes-1) != 0 || bytes > 1<<30 {
		return fmt.Errorf("%w: granule of %d bytes: choose a power of two from the page size, %d, to 1 GiB", ErrInvalid, bytes, page)
	}
	return nil
}
