//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// One profiler runs at a time, and the next one can start when it is closed.
func TestTwoProfilersAtOnce(t *testing.T) {
	p := newProfiler(t)
	if second, err := New(WithFailingSystemCalls()); err == nil {
		second.Close()
		t.Fatal("a second profiler started")
	} else if !strings.Contains(err.Error(), "already") || !strings.Contains(err.Error(), "close") {
		t.Errorf("%q does not say what to do", err)
	}
	a := newArena(t, p, "arena", pageSize)
	a.Bytes()[0] = 1
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if s := p.Snapshot(); s.Stats.Faults != 1 {
		t.Errorf("%d faults after the end", s.Stats.Faults)
	}
	if _, err := p.NewArena("late", pageSize); !errors.Is(err, ErrClosed) {
		t.Errorf("an arena of a closed profiler: %v", err)
	}
	newProfiler(t)
}

// Where a container's seccomp filter refuses userfaultfd and there is no device, the error names
// both, and what to do, as often as it is asked.
func TestSystemRefuses(t *testing.T) {
	const env = "FIRSTTOUCH_TEST_REFUSED"
	if os.Getenv(env) == "" {
		testproc.Run(t, t.Name(), []string{env + "=1"}, time.Minute)
		return
	}
	runtime.LockOSThread() // the name space without a device is this thread's
	hideDevice(t)
	refuse(t)
	words := []string{"/dev/userfaultfd", "seccomp", "--security-opt"}
	if os.Getuid() == 0 { // an ordinary user may lack nothing but the right to open the device
		words = append(words, "--device")
	}
	for range 2 {
		p, err := New(WithFailingSystemCalls())
		if p != nil {
			t.Fatal("a profiler started")
		}
		wantError(t, "refused", err, ErrNotSupported, words...)
		wantError(t, "refused", err, unix.EPERM)
	}
}

// hideDevice takes /dev/userfaultfd away. An ordinary user cannot, and need not: refuse keeps it from
// working.
func hideDevice(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Logf("no mount name space of its own: %v", err)
		return
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", "/dev", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/dev/userfaultfd"); !os.IsNotExist(err) {
		t.Fatalf("the device is still there: %v", err)
	}
}

// refuse installs a seccomp filter for all threads, under which neither userfaultfd(2) nor the
// device's ioctl gives a descriptor.
func refuse(t *testing.T) {
	t.Helper()
	const newDescriptor = 0xaa00 // USERFAULTFD_IOC_NEW, include/uapi/linux/userfaultfd.h
	deny := unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	// struct seccomp_data, include/uapi/linux/seccomp.h: the number at 0, the second argument at 24.
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_USERFAULTFD, Jt: 3},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_IOCTL, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 24},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: newDescriptor, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: deny},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno == unix.ENOSYS || errno == unix.EINVAL {
		t.Skipf("the kernel has no seccomp filters: %v", errno)
	}
	if errno != 0 || thread != 0 {
		t.Fatalf("seccomp: %v, thread %d did not take the filter", errno, thread)
	}
}
