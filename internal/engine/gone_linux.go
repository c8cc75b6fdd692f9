//go:build linux && (amd64 || arm64)

package engine

import (
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// Threads of the engine end when the engine does. A seccomp filter that the process installs later can end one
// before that (SECCOMP_RET_KILL_THREAD).

// roles are what the threads do, by number; the others are disk threads.
var roles = [firstDisk]string{"keeper", "follower", "surgeon", "clerk", "watchdog"}

// Gone names a thread of the engine that has ended although the engine runs, or is empty.
func (e *Engine) Gone() (role string) {
	if raw.Load32(&e.s.stop) != 0 {
		return ""
	}
	for i, t := range e.threads {
		if !t.Ended() {
			continue
		}
		if i < firstDisk {
			return roles[i]
		}
		return "disk thread"
	}
	return ""
}

// await waits in the kernel, where this thread can be parked like any other, until a thread of the engine has
// answered the bell. It reports false where that thread is no more.
func (e *Engine) await(done *uint32, before, bell uint32, number int) bool {
	ts := unix.NsecToTimespec(int64(100 * time.Millisecond))
	for now := before; now != bell; now = raw.Load32(done) {
		if e.isOver() || e.threads[number].Ended() {
			return raw.Load32(done) == bell
		}
		unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(done)), futexWaitPrivate, uintptr(now), uintptr(unsafe.Pointer(&ts)), 0, 0)
	}
	return true
}
