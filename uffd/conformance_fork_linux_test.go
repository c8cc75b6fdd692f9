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

// step is what a child does next: see the functions that make one.
type step struct {
	op   stepOp
	args [6]uintptr
}

type stepOp int

const (
	opLoad  stepOp = iota // the byte at 0 must be 1
	opStore               // the byte at 0 becomes 1
	opWait                // for the gate
	opCall                // system call 0 with the others, which must not fail
)

func stepLoad(at Addr, want byte) step { return step{opLoad, [6]uintptr{uintptr(at), uintptr(want)}} }

func stepStore(at Addr, b byte) step { return step{opStore, [6]uintptr{uintptr(at), uintptr(b)}} }

// stepWait waits for the gate.
func stepWait() step { return step{op: opWait} }

// stepAdvise is madvise(2).
func stepAdvise(r Range, advice int) step {
	return step{opCall, [6]uintptr{unix.SYS_MADVISE, uintptr(r.Start), r.Len(), uintptr(advice)}}
}

// stepRemap moves a mapping, mremap(2).
func stepRemap(r Range, to Addr) step {
	return step{opCall, [6]uintptr{unix.SYS_MREMAP, uintptr(r.Start), r.Len(), r.Len(), unix.MREMAP_MAYMOVE | unix.MREMAP_FIXED, uintptr(to)}}
}

// stepDie gives a signal its default action, which ends the process.
func stepDie(signal unix.Signal) step {
	return step{opCall, [6]uintptr{unix.SYS_RT_SIGACTION, uintptr(signal), uintptr(unsafe.Pointer(&defaultAction)), 0, 8}}
}

var (
	gateByte      byte
	defaultAction [4]uintptr // struct kernel_sigaction: SIG_DFL, no flags, no mask
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

//go:norace
//go:nosplit
//go:nocheckptr
func take(s *step, gate uintptr) bool {
	// nosplit: see cloneProcess.
	switch s.op {
	case opLoad:
		return uintptr(**(**byte)(unsafe.Pointer(&s.args[0]))) == s.args[1]
	case opStore:
		**(**byte)(unsafe.Pointer(&s.args[0])) = byte(s.args[1])
		return true
	case opWait:
		s.args[0], s.args[1], s.args[2], s.args[3] = unix.SYS_READ, gate, uintptr(unsafe.Pointer(&gateByte)), 1
	}
	_, _, errno := unix.RawSyscall6(s.args[0], s.args[1], s.args[2], s.args[3], s.args[4], s.args[5], 0)
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
