package profiler

import (
	"errors"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/uffd"
)

// Errors that callers may test for with errors.Is. Every returned error also says what to do.
var (
	// ErrNotSupported: the system, the kernel, the user or the container refuses what is needed.
	ErrNotSupported = uffd.ErrNotSupported
	// ErrUserModeOnly: system calls that meet profiled memory would fail here, and WithFailingSystemCalls does not
	// allow it. It is an ErrNotSupported too.
	ErrUserModeOnly = errors.New("system calls would fail")
	// ErrInvalid: an argument cannot be used.
	ErrInvalid = errors.New("invalid argument")
	// ErrRegistered: the memory is already a region.
	ErrRegistered = errors.New("already registered")
	// ErrNotMapped: no mapping of the file exists in this process.
	ErrNotMapped = errors.New("not mapped")
	// ErrTooMany: the profiler remembers no more regions than there were already.
	ErrTooMany = errors.New("too many regions")
	// ErrClosed: the Profiler or the region was closed.
	ErrClosed = errors.New("closed")
	// ErrPaused: nothing of the region is to be observed, see Region.SetSampling.
	ErrPaused = errors.New("paused")
	// ErrLeftOut: the region was not armed for a window, see Windows.
	ErrLeftOut = errors.New("left out, to keep to the share that is to be observed")
	// ErrLocked: the process has locked the memory (mlock, mlockall), so that all of it is there already and has to
	// stay there, or RLIMIT_MEMLOCK has no room for what observing it takes. It is ErrNotSupported too. Files and
	// arenas that are locked on fault (MLOCK_ONFAULT, MCL_ONFAULT) can be observed.
	ErrLocked = engine.ErrLocked
	// ErrBusy: the process's other threads could not be stopped for the moment that a change of
	// mappings takes. The memory is as it was; try again. A *BusyError says which thread was in the way.
	ErrBusy = errors.New("threads could not be stopped in time")
	// ErrSignalTaken: other code has taken the signal with which threads are stopped, see WithSignal. The memory is as
	// it was, and is served.
	ErrSignalTaken = errors.New("the profiler's signal was taken")
)

// BusyError is an ErrBusy that says why.
type BusyError struct {
	// Thread is the id of the thread that was in the way, and Name what it is called; 0 where it is none.
	Thread int
	Name   string
	// Signal is the one that the thread blocks for good, 0 where that is not the reason. While it does, nothing can be
	// changed without a guard (WithGuard), and nobody is stopped to try.
	Signal int
	// RetryAfter is for how long nobody is stopped again, so that trying again before is in vain.
	RetryAfter time.Duration

	err error
}

func (e *BusyError) Error() string { return e.err.Error() }

// Unwrap returns the engine's own error.
func (e *BusyError) Unwrap() error { return e.err }

// Is reports that it is an ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }
