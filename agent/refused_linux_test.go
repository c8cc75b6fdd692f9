package agent

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// inChild runs the calling test once more in a process of its own, and reports whether this is it.
func inChild(t *testing.T) bool {
	t.Helper()
	const mark = "AGENT_TEST_CHILD"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	testproc.Run(t, t.Name(), []string{mark + "=" + t.Name()}, time.Minute)
	return false
}

// TestRefusedByTheSystem runs under a seccomp filter like a container's: the agent does nothing,
// says why and what to change, and the service does not notice.
func TestRefusedByTheSystem(t *testing.T) {
	if !inChild(t) {
		return
	}
	denyUserfaultfd(t)
	t.Setenv("FIRSTTOUCH_DELIVERY", "thread") // by itself it would observe alone
	a, err := Start(t.Context(), WithFiles("/var/lib/app/*.db"), WithDebugAddr(":0"))
	if err != nil {
		t.Fatal(err)
	}
	for _, remedy := range []string{"seccomp", "/dev/userfaultfd"} {
		if !strings.Contains(a.Reason(), remedy) {
			t.Errorf("the reason does not name %q: %s", remedy, a.Reason())
		}
	}
	if code, body := get(t, "http://"+a.DebugAddr().String()+"/debug/firsttouch/"); code != 200 || !strings.Contains(body, "seccomp") {
		t.Errorf("the debug endpoint does not say why: %d %s", code, body)
	}
	checkIdle(t, a)

	a, err = Start(t.Context(), Required())
	if !errors.Is(err, profiler.ErrNotSupported) || !strings.Contains(err.Error(), "seccomp") {
		t.Errorf("required: %v, want ErrNotSupported with the remedy", err)
	}
	checkIdle(t, a)
}

// TestFilesAsAnOrdinaryUser: without privileges the agent still profiles, for user mode only.
func TestFilesAsAnOrdinaryUser(t *testing.T) {
	const mark = "AGENT_TEST_USER"
	if os.Getenv(mark) == "" {
		if os.Getuid() != 0 {
			t.Skip("only root can become another user")
		}
		testproc.Run(t, t.Name(), []string{mark + "=1"}, time.Minute, testproc.AsUser(65534))
		return
	}
	path, file := database(t, 4)
	a := start(t, WithFiles(path))
	touchPage(file, 2)
	if s := a.Profiler().Snapshot(); s.Region(path) == nil || s.Region(path).Faults != 1 {
		t.Errorf("%+v", s.Regions)
	}
}

// denyUserfaultfd makes both ways to a userfaultfd fail with EPERM in all threads of this process:
// the system call, and the ioctl of the device.
func denyUserfaultfd(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	const load, equal, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	filter := []unix.SockFilter{
		{Code: load, K: 0}, // seccomp_data.nr
		{Code: equal, K: unix.SYS_USERFAULTFD, Jt: 3},
		{Code: equal, K: unix.SYS_IOCTL, Jf: 3},
		{Code: load, K: 24}, // seccomp_data.args[1], its low half
		{Code: equal, K: uint32(uffd.IoctlNew), Jf: 1},
		{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: ret, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno == unix.ENOSYS || errno == unix.EINVAL {
		t.Skipf("the kernel has no seccomp filters: %v", errno)
	}
	if errno != 0 || thread != 0 {
		t.Fatalf("seccomp: %v, thread %d could not take the filter", errno, thread)
	}
}

// TestSecondAgentDoesNothing: one that is started while another one works says so, leaves that one alone,
// and can be started again after it.
func TestSecondAgentDoesNothing(t *testing.T) {
	first := start(t)
	second, err := Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(second.Reason(), "already") {
		t.Errorf("the reason does not name the other agent: %q", second.Reason())
	}
	checkIdle(t, second)
	if err := second.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	arena, err := first.Arena("cache", uffd.PageSize())
	if err != nil {
		t.Fatal(err)
	}
	arena.Bytes()[0] = 1
	if n := first.Profiler().Snapshot().Stats.Faults; n != 1 {
		t.Errorf("%d faults of the first agent, want 1", n)
	}
	if err := first.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if third := start(t); third.Reason() != "" {
		t.Errorf("after the first one ended: %s", third.Reason())
	}
	t.Logf("seen: %s", second.Reason())
}
