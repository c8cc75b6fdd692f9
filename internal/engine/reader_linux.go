//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// readers is how many workers read messages: the first ones.
const readers = 2

// Who reads the descriptors. Reads by both are correct, one message reaches one reader; the mode
// only decides who is awake.
const (
	modeKeeper   = 0 // the keeper, scheduled as any other thread
	modeFollower = 1 // the follower, on the toucher's CPU; the keeper watches it
)

const (
	watchNS   = 1e6 // the keeper's first look after the follower, and the next one after twice as long,
	watchMost = 3   // so many times: each wakes a processor, and often moves the toucher to another one
	quietMS   = 3   // the follower gives up after so long without a fault
)

// keeper is the loop of the thread that reads messages while nothing special is going on, and
// that watches the follower while threads fault in quick succession.
//
//go:nosplit
//go:norace
//go:nocheckptr
func keeper(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	stalled := uint64(0) // the follower's progress at the last look
	looks := 0
	for raw.Load32(&s.stop) == 0 {
		if raw.Load32(&s.mode) == modeFollower {
			futexWait(w, &s.mode, modeFollower, watchNS<<looks)
			if raw.Load32(&s.mode) == modeFollower {
				stalled = s.watch(w, stalled)
				looks = min(looks+1, watchMost)
			}
			continue
		}
		looks = 0
		// In turns until both are empty: a poll before each message would cost as much as the message.
		ready := s.wait(w, ^uintptr(0))
		for arena, overlay := ready&1 != 0, ready&2 != 0; arena || overlay; {
			arena = arena && s.drain(w, s.arenaFD) != 0
			overlay = overlay && s.drain(w, s.overlayFD) != 0
		}
	}
}

// wait polls the descriptors and returns a bit for each that can be read. The stop descriptor,
// bit 2, ends it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) wait(w *worker, timeoutMS uintptr) (ready uint32) {
	// struct pollfd, include/uapi/asm-generic/poll.h. ppoll would need a
	// timespec; a negative descriptor is skipped by the kernel.
	w.poll[0] = uint64(s.arenaFD) | unix.POLLIN<<32
	w.poll[1] = uint64(s.overlayFD) | unix.POLLIN<<32
	w.poll[2] = uint64(s.stopFD) | unix.POLLIN<<32
	timeout := uintptr(0)
	if timeoutMS != ^uintptr(0) {
		w.args[8], w.args[9] = uint64(timeoutMS)/1000, uint64(timeoutMS)%1000*1e6
		timeout = uintptr(unsafe.Pointer(&w.args[8]))
	}
	n := raw.Syscall(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&w.poll)), 3, timeout, 0, 8, 0)
	if e := raw.Errno(n); e != 0 && unix.Errno(e) != unix.EINTR {
		s.nap(w, 1e6) // refused: who cannot be told has to look
		return 3
	}
	if raw.Errno(n) != 0 || n == 0 {
		return 0
	}
	for i := range 3 {
		if w.poll[i]>>48 != 0 {
			ready |= 1 << i
		}
	}
	return ready
}
