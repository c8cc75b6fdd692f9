//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// advices are those of madvise(2) that Advise takes, by name.
var advices = map[string]int{
	"normal":     unix.MADV_NORMAL,
	"random":     unix.MADV_RANDOM,
	"sequential": unix.MADV_SEQUENTIAL,
	"willneed":   unix.MADV_WILLNEED,
	"cold":       unix.MADV_COLD,
	"pageout":    unix.MADV_PAGEOUT,
	"collapse":   unix.MADV_COLLAPSE,
}

// Advise gives the kernel advice about the memory of a region from one offset to another, as its owner could by madvise(2), and
// returns the bytes of mappings that it was given for. The advice is "normal", "random", "sequential", "willneed", "cold",
// "pageout" (Linux 5.4) or "collapse" (Linux 6.1). The offsets are those of the region, in bytes, and are widened to whole pages; to is at most
// its size.
//
// Advice about reading is for files: it counts for what was touched and for what was not, and stays when the region is closed. What is paged
// out was touched all the same, until the region is armed again.
//
// It is ErrNotSupported for the Go heap, which the runtime advises itself; for reading ahead in memory without a file; and for
// collapse where memory is armed, since that fills pages that nobody has touched. It may be called at any time; with "willneed" and "pageout" it
// takes as long as the kernel does.
func (r *Region) Advise(advice string, from, to int64) (advised int64, err error) {
	number, known := advices[advice]
	if !known {
		return 0, fmt.Errorf("region %q: advice %q: choose one of %s", r.name, advice, strings.Join(slices.Sorted(maps.Keys(advices)), ", "))
	}
	if from < 0 || to <= from {
		return 0, fmt.Errorf("region %q: from offset %d to %d: give a first offset of 0 or more, and an end behind it", r.name, from, to)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed.Load() || r.p.retired.Load() {
		return 0, fmt.Errorf("region %q: %w", r.name, ErrClosed)
	}
	if err := r.takesAdvice(number); err != nil {
		return 0, fmt.Errorf("region %q: advice %q: %w", r.name, advice, err)
	}
	page := int64(unix.Getpagesize())
	from, to = from/page*page, (to+page-1)/page*page
	var errs []error
	for _, m := range r.maps {
		lo, hi := max(from, m.Offset), min(to, m.Offset+int64(m.Hi-m.Lo))
		if lo >= hi {
			continue
		}
		if err := m.advise(uintptr(lo-m.Offset), uintptr(hi-m.Offset), number); err != nil {
			errs = append(errs, fmt.Errorf("region %q: madvise(%s): %w", r.name, advice, err))
			continue
		}
		advised += hi - lo
	}
	if len(errs) == 0 && advised == 0 {
		return 0, fmt.Errorf("region %q: %w from offset %d to %d", r.name, ErrNotMapped, from, to)
	}
	return advised, errors.Join(errs...)
}

// takesAdvice says why a region does not.
func (r *Region) takesAdvice(advice int) error {
	switch {
	case r.kind == KindGoHeap:
		return fmt.Errorf("%w: the Go runtime advises its heap itself: set GOGC, GOMEMLIMIT or GODEBUG", ErrNotSupported)
	case advice == unix.MADV_COLLAPSE && !r.p.observes():
		return fmt.Errorf("%w: it would fill pages that nobody has touched: observe this process without arming memory (delivery observe)", ErrNotSupported)
	case r.file == nil && slices.Contains([]int{unix.MADV_RANDOM, unix.MADV_SEQUENTIAL, unix.MADV_WILLNEED}, advice):
		return fmt.Errorf("%w: memory without a file is not read ahead: cold and pageout are for it", ErrNotSupported)
	}
	return nil
}

// advise advises a part of a mapping, by offsets from its start. Of a file under a placeholder what was not touched yet lies in the alias:
// where what was touched has left it the kernel says ENOMEM, after it has advised the rest, and a placeholder cannot be read ahead (EBADF).
func (m *mapping) advise(from, to uintptr, advice int) error {
	err := madvise(m.Lo+from, to-from, advice)
	alias := m.Alias()
	if alias == 0 {
		return err
	}
	if err := madvise(alias+from, to-from, advice); err != nil && err != unix.ENOMEM {
		return err
	}
	if err == unix.EBADF || err == unix.ENOMEM {
		return nil
	}
	return err
}

func madvise(addr, length uintptr, advice int) error {
	if _, _, e := unix.Syscall(unix.SYS_MADVISE, addr, length, uintptr(advice)); e != 0 {
		return e
	}
	return nil
}
