package uffd

import (
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forked is a child of this process by fork(2), with a copy of its memory and one thread. Go has no
// such thing, for a reason: nothing of the runtime that needs another thread works in it. What it
// runs here makes system calls, touches memory and recovers from SIGBUS.
type forked struct {
	pid  int
	gate [2]int // the child reads it, and so waits for Close of its other end
}

// forkChild forks, and runs body in the child, which then exits with body's result as its status.
func forkChild(t *testing.T, body func(gate int) int) forked {
	t.Helper()
	var f forked
	if err := unix.Pipe2(f.gate[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, errno := cloneProcess(f.gate, body)
	_ = unix.Close(f.gate[0])
	if errno != 0 {
		_ = unix.Close(f.gate[1])
		t.Fatalf("clone: %v", errno)
	}
	f.pid = pid
	return f
}

// cloneProcess is fork(2). The system call is raw, so that the child has a processor in Go's sense.
//
//go:norace
func cloneProcess(gate [2]int, body func(gate int) int) (int, unix.Errno) {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return int(pid), errno
	}
	unix.RawSyscall(unix.SYS_CLOSE, uintptr(gate[1]), 0, 0)
	status := body(gate[0])
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(status), 0, 0)
	}
}

// waitAtGate is the body of a child that only has to be there.
func waitAtGate(gate int) int {
	var b [1]byte
	unix.RawSyscall(unix.SYS_READ, uintptr(gate), uintptr(unsafe.Pointer(&b)), 1)
	return 0
}

// end opens the gate and returns the child's exit status.
func (f forked) end(t *testing.T) int {
	t.Helper()
	if err := unix.Close(f.gate[1]); err != nil {
		t.Error(err)
	}
	var status unix.WaitStatus
	for {
		if _, err := unix.Wait4(f.pid, &status, 0, nil); err == nil {
			break
		} else if err != unix.EINTR {
			t.Fatal(err)
		}
	}
	if !status.Exited() {
		t.Errorf("the child died of %v", status.Signal())
		return -1
	}
	return status.ExitStatus()
}

// mayFollowForks reports why this process may not enable EVENT_FORK; nil if it may.
func mayFollowForks() error {
	fd, err := Open(WithFeatures(FeatureEventFork))
	if err != nil {
		return err
	}
	return fd.Close()
}

// sharedWords is memory in which a forked child can leave what it counted.
func sharedWords(t *testing.T) []uint32 {
	t.Helper()
	mem, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(mem) })
	return unsafe.Slice((*uint32)(unsafe.Pointer(&mem[0])), 16)
}
