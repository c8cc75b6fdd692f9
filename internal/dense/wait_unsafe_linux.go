package dense

import (
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// step bounds one system call: for so long it may hold up a collection, as any code that does not yield.
const step = 50 * time.Microsecond

// Waiter remembers whether the last wait was a short one: only then the next is tried. Its zero value never waits. It is
// safe for concurrent use.
type Waiter struct {
	most    atomic.Int64 // nanoseconds
	short   atomic.Bool
	yielded atomic.Int64 // when the goroutine last gave others a turn, by Unix nanoseconds
}

// turn is how long a goroutine goes on before it gives others a turn by itself. After 10 ms the monitor of Go's scheduler
// would make it: by a signal, and then it looks every 20 µs for a while.
const turn = 4 * time.Millisecond

// Allow bounds the wait. The goroutine keeps its processor for so long. Where the scheduler has no other one, all other
// goroutines would wait as well, so nothing is tried.
func (w *Waiter) Allow(most time.Duration) {
	if runtime.GOMAXPROCS(0) > 1 {
		w.most.Store(int64(most))
	}
}

// Wait waits for a descriptor to become readable, where that is likely to be soon, and answers whether it is. A signal
// ends the wait, so that one for preemption is obeyed.
func (w *Waiter) Wait(fd int) bool {
	if !w.short.Load() {
		return false
	}
	if now := time.Now().UnixNano(); now-w.yielded.Load() > int64(turn) {
		w.yielded.Store(now)
		runtime.Gosched()
	}
	poll := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	for left := w.most.Load(); left > 0; left -= int64(step) {
		timeout := unix.NsecToTimespec(int64(step))
		n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&poll)), 1, uintptr(unsafe.Pointer(&timeout)), 0, 0, 0)
		switch {
		case errno == 0 && n == 1 && poll.Revents&unix.POLLIN != 0:
			return true
		case errno != 0 && errno != unix.EINTR || n != 0:
			left = 0
		}
	}
	w.short.Store(false)
	return false
}

// Waited notes how long a wait by other means took.
func (w *Waiter) Waited(t time.Duration) {
	if int64(t) < w.most.Load() {
		w.short.Store(true)
	}
}
