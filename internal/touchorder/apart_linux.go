package touchorder

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// separate gives the calling thread, which is locked to its goroutine, a table of descriptors of its own. All are closed in it, so that no
// connection of the service stays open because of it, but those of epoll and eventfd: the garbage collector may begin on this thread, and
// then polls on it (startTheWorldWithSema, runtime/proc.go), which ends the process where the descriptor is missing.
func separate() error {
	// The scheduler opens its descriptor when it is needed first: it is needed now, since later it would be missing here.
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("a pipe: %w", err)
	}
	if err := errors.Join(r.Close(), w.Close()); err != nil { // before the tables part
		return fmt.Errorf("a pipe: %w", err)
	}
	keep, err := polled()
	if err != nil {
		return err
	}
	if len(keep) == 0 {
		return fmt.Errorf("%w: the descriptor with which Go waits for others is not to be found in /proc/thread-self/fd", ErrNotSupported)
	}
	return keepOnly(keep)
}

// polled lists the descriptors of epoll and eventfd, ascending.
func polled() (keep []uint32, err error) {
	names, err := os.ReadDir("/proc/thread-self/fd")
	if err != nil {
		return nil, fmt.Errorf("reading ahead needs /proc: %w", err)
	}
	for _, name := range names {
		n, err := strconv.ParseUint(name.Name(), 10, 31)
		if err != nil {
			continue
		}
		to, err := os.Readlink("/proc/thread-self/fd/" + name.Name())
		if err == nil && (strings.HasPrefix(to, "anon_inode:[eventpoll]") || strings.HasPrefix(to, "anon_inode:[eventfd]")) {
			keep = append(keep, uint32(n))
		}
	}
	slices.Sort(keep)
	return keep, nil
}

// keepOnly closes all descriptors but these, in a new table.
func keepOnly(keep []uint32) error {
	refused := func(err error) error {
		return fmt.Errorf("%w: reading ahead needs a table of descriptors of its own (close_range with CLOSE_RANGE_UNSHARE; a seccomp filter has to allow it): %w", ErrNotSupported, err)
	}
	last := uint(keep[len(keep)-1])
	if err := unix.CloseRange(last+1, ^uint(0)&(1<<32-1), unix.CLOSE_RANGE_UNSHARE); err != nil {
		return refused(err)
	}
	next := uint(0)
	for _, fd := range keep {
		if uint(fd) > next {
			if err := unix.CloseRange(next, uint(fd)-1, 0); err != nil {
				return refused(err)
			}
		}
		next = uint(fd) + 1
	}
	return nil
}
