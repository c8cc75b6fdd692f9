package pace

import (
	"time"

	"golang.org/x/sys/unix"
)

// processorTime is what the calling thread has used; ok is false where the system refuses to say.
func processorTime() (used time.Duration, ok bool) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return 0, false
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), true
}
