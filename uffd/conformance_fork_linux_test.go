package uffd

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forked is a child of this process by fork(2), with a copy of its memory and one thread. Go has no
// such thing, for a reason: a stack check may want to give the processor away, an allocation a lock
// that no thread is left to give back. So it runs steps that were laid out before, and nothing else.
type forked struct {
	pid  int
	gate int // the child's stepWait reads the other end, and goes on at its Close
}

// step is what a child does next.
type step struct {
	op      stepOp
	a, b, c uintptr
}

type stepOp int

const (
	stepLoad    stepOp = iota // the byte at a must be b
	stepStore                 // the byte at a becomes b
	stepWait                  // for the gate
	stepAdvise                // madvise(a, b, c)
	stepRemap                 // mremap(a, b, b, MREMAP_MAYMOVE|MREMAP_FIXED, c)
	stepDefault               // signal a gets its default action, which ends the process
)

// forkChild forks a child that takes the steps, and then exits with 0; or with the number of the step
// that failed, beginning with 1.
func forkChild(t *testing.T, steps ...step) forked {
	t.Helper()
	var gate [2]int
	if err := unix.Pipe2(gate[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	pid, errno := cloneProcess(gate, steps)
	_ = unix.Close(gate[0])
	if errno != 0 {
		_ = unix.Close(gate[1])
		t.Fatalf("clone: %v", errno)
	}
	return forked{pid, gate[1]}
}

// cloneProcess is fork(2). The system call is raw, since its other end has no scheduler to tell.
//
//go:norace
//go:nosplit
func cloneProcess(gate [2]int, steps []step) (int, unix.Errno) {
	// nosplit: a stack check in the child may find that the parent was to be preempted.
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return int(pid), errno
	}
	unix.RawSyscall(unix.SYS_CLOSE, uintptr(gate[1]), 0, 0)
	status := uintptr(0)
	for i := range steps {
		if !take(&steps[i], uintptr(gate[0])) {
			status = uintptr(i + 1)
			break
		}
	}
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, status, 0, 0)
	}
}

var (
	gateByte      byte
	defaultAction [4]uintptr // struct kernel_sigaction: SIG_DFL, no flags, no mask
)

//go:norace
//go:nosplit
//go:nocheckptr
func take(s *step, gate uintptr) bool {
	// nosplit: see cloneProcess.
	var errno unix.Errno
	switch s.op {
	case stepLoad:
		return uintptr(**(**byte)(unsafe.Pointer(&s.a))) == s.b
	case stepStore:
		**(**byte)(unsafe.Pointer(&s.a)) = byte(s.b)
	case stepWait:
		_, _, errno = unix.RawSyscall(unix.SYS_READ, gate, uintptr(unsafe.Pointer(&gateByte)), 1)
	case stepAdvise:
		_, _, errno = unix.RawSyscall(unix.SYS_MADVISE, s.a, s.b, s.c)
	case stepRemap:
		_, _, errno = unix.RawSyscall6(unix.SYS_MREMAP, s.a, s.b, s.b, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED, s.c, 0)
	case stepDefault:
		_, _, errno = unix.RawSyscall6(unix.SYS_RT_SIGACTION, s.a, uintptr(unsafe.Pointer(&defaultAction)), 0, 8, 0, 0)
	}
	return errno == 0
}

// openGate lets the child go on behind its stepWait.
func (f *forked) openGate(t *testing.T) {
	t.Helper()
	if f.gate >= 0 {
		noErr(t, "close", unix.Close(f.gate))
		f.gate = -1
	}
}

// wait opens the gate and answers how the child ended.
func (f *forked) wait(t *testing.T) unix.WaitStatus {
	t.Helper()
	f.openGate(t)
	var status unix.WaitStatus
	for {
		if _, err := unix.Wait4(f.pid, &status, 0, nil); err == nil {
			return status
		} else if err != unix.EINTR {
			t.Fatal(err)
		}
	}
}

// end wants the child to have taken all its steps.
func (f *forked) end(t *testing.T) {
	t.Helper()
	switch status := f.wait(t); {
	case status.Signaled():
		t.Errorf("the child died of %v", status.Signal())
	case status.ExitStatus() != 0:
		t.Errorf("the child's step %d failed", status.ExitStatus())
	}
}

// mayFollowForks reports why this process may not enable EVENT_FORK; nil if it may.
func mayFollowForks() error {
	fd, err := Open(WithFeatures(FeatureEventFork))
	if err != nil {
		return err
	}
	return fd.Close()
}
