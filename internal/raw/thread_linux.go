//go:build linux && (amd64 || arm64)

package raw

import (
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Thread is a kernel thread that the Go runtime does not know. It has its own stack and TLS block,
// and all signals masked.
type Thread struct {
	mem   []byte  // guard page, stack, TLS block
	tid   *uint32 // in mem; the kernel clears it and wakes its futex when the thread has ended
	first int     // the thread's id while it ran
}

const (
	stackSize = 256 << 10
	tlsSize   = 8 << 10 // the g slot of a cgo build lies at a linker-chosen offset below the base
)

// exitRefused is the errno that a thread got for exit(2), and sleeps since, or 0. Assembly writes it.
var exitRefused uint32

// ExitRefused says why threads cannot end, or 0.
func ExitRefused() unix.Errno { return unix.Errno(Load32(&exitRefused)) }

// Start runs fn(arg) on a new thread. fn is the address of an ABI0 function that takes one word
// and obeys the rules of this package.
func Start(fn, arg uintptr) (*Thread, error) {
	page := uintptr(unix.Getpagesize())
	size := page + stackSize + tlsSize
	p, _, err := Map(size, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return nil, fmt.Errorf("map a thread's stack: mmap: %w", err)
	}
	mem := unsafe.Slice((*byte)(unsafe.Pointer(p)), size)
	if err := unix.Mprotect(mem[:page], unix.PROT_NONE); err != nil {
		Unmap(p, size)
		return nil, fmt.Errorf("guard a thread's stack: mprotect: %w", err)
	}
	top := uintptr(unsafe.Pointer(&mem[0])) + page + stackSize
	t := &Thread{mem: mem, tid: (*uint32)(unsafe.Pointer(&mem[len(mem)-8]))}
	const flags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_THREAD |
		unix.CLONE_SYSVSEM | unix.CLONE_SETTLS | unix.CLONE_PARENT_SETTID | unix.CLONE_CHILD_CLEARTID
	// Signals are masked before the thread exists: it could not run a handler.
	runtime.LockOSThread()
	all, old := ^uint64(0), uint64(0)
	Syscall(sysRtSigprocmask, unix.SIG_BLOCK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	r := clone(flags, top, uintptr(unsafe.Pointer(t.tid)), top+tlsSize/2, fn, arg)
	Syscall(sysRtSigprocmask, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
	runtime.UnlockOSThread()
	if e := Errno(r); e != 0 {
		Unmap(p, size)
		return nil, fmt.Errorf("start a thread: clone: %w", unix.Errno(e))
	}
	t.first = int(r)
	return t, nil
}

// Memory is where the thread's stack and TLS block lie.
func (t *Thread) Memory() (start, size uintptr) {
	return uintptr(unsafe.Pointer(unsafe.SliceData(t.mem))), uintptr(len(t.mem))
}

// TID is the kernel's id of the thread, also after it has ended.
func (t *Thread) TID() int { return t.first }

// Ended reports whether the thread is no more.
func (t *Thread) Ended() bool { return Load32(t.tid) == 0 }

// Join waits until the thread has ended and frees its stack. It reports false, and frees
// nothing, when the thread still runs after the timeout.
func (t *Thread) Join(timeout time.Duration) bool {
	deadline := time.Now().Add(timeout)
	for {
		v := Load32(t.tid)
		if v == 0 {
			Unmap(t.Memory())
			t.mem = nil
			return true
		}
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		// Not FUTEX_PRIVATE: the kernel's wake at the end of a thread is a shared one.
		ts := unix.NsecToTimespec(min(left, 50*time.Millisecond).Nanoseconds())
		unix.Syscall6(sysFutex, uintptr(unsafe.Pointer(t.tid)), 0, uintptr(v), uintptr(unsafe.Pointer(&ts)), 0, 0)
	}
}
