package profiler

import (
	"errors"

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
	// mappings takes. The memory is as it was; try again.
	ErrBusy = errors.New("threads could not be parked in time")
)
