package uffd

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An ordinary user gets what the device's mode and the sysctl allow, and for the rest a reason with
// a remedy; user mode only is for everyone.
func TestOpenAsOrdinaryUser(t *testing.T) {
	if !asNobody(t) {
		return
	}
	who := readPrivileges()
	if who.UID == 0 || who.CapSysPtrace {
		t.Fatalf("this process still has privileges: %+v", who)
	}
	_, deviceErr := os.Open(DevicePath)
	sysctl := who.UnprivilegedSysctl == nil || *who.UnprivilegedSysctl == 1
	for path, allowed := range map[OpenPath]bool{PathDevice: deviceErr == nil, PathSyscall: sysctl} {
		err := HavePath(path)
		if allowed != (err == nil) {
			t.Errorf("%v: %v, but allowed: %v", path, err, allowed)
		}
		if refused, ok := errors.AsType[*OpenError](err); err != nil && (!ok || refused.Refusals[0].Remedy == "") {
			t.Errorf("%v: %v has no remedy", path, err)
		}
	}
	if err := HavePath(PathUserModeOnly); err != nil {
		t.Skip(err)
	}
	fd := openTest(t)
	if want := deviceErr != nil && !sysctl; fd.UserModeOnly() != want {
		t.Errorf("user mode only: %v, want %v", fd.UserModeOnly(), want)
	}
	// Enabling EVENT_FORK takes a capability, which is an error where it is required only.
	if !fd.Features().Has(FeatureEventFork) {
		t.Skip("no EVENT_FORK here")
	}
	if _, err := Open(WithFeatures(FeatureEventFork)); !errors.Is(err, ErrPermission) || !errors.Is(err, unix.EPERM) {
		t.Errorf("EVENT_FORK required: %v", err)
	} else if !strings.Contains(err.Error(), "CAP_SYS_PTRACE") {
		t.Errorf("%v does not name the capability", err)
	}
	some := openTest(t, WithOptionalFeatures(FeatureEventFork|FeatureEventRemove))
	if some.Enabled() != FeatureEventRemove {
		t.Errorf("EVENT_FORK optional: enabled %v", some.Enabled())
	}
}

// The report of an ordinary user has the same answers about memory as root's, and remedies where it
// has no way in.
func TestProbeAsOrdinaryUser(t *testing.T) {
	if !asNobody(t) {
		return
	}
	r := Probe()
	if r.Privileges.UID == 0 || len(r.Paths) != 3 {
		t.Errorf("%+v", r)
	}
	for _, p := range r.Paths {
		if p.Available != Yes && (p.Reason == "" || p.Remedy == "") {
			t.Errorf("%+v: no remedy", p)
		}
	}
	if r.OpenPath == nil {
		t.Skip(r.Reason)
	}
	for _, i := range r.Ioctls[:3] {
		if i.Available != Yes {
			t.Errorf("%+v", i)
		}
	}
	if first := r.Memory[0]; first.Kind != MemoryAnonymous || first.Modes[0].Available != Yes {
		t.Errorf("%+v", first)
	}
}

// A descriptor for user mode only turns a system call that meets an armed page into EFAULT.
func TestUserModeOnlyRefusesSystemCalls(t *testing.T) {
	if !inChild(t) {
		return
	}
	if err := HavePath(PathUserModeOnly); err != nil {
		t.Skip(err)
	}
	fd := openTest(t, WithPaths(PathUserModeOnly))
	mem := anonymous(t, 1)
	register(t, fd, mem, ModeMissing)
	if got := <-writeToPipe(t, mem); !errors.Is(got.err, unix.EFAULT) {
		t.Errorf("write(2) from an armed page: %v, want EFAULT", got.err)
	}
	if n, err := fd.TryRead(make([]Msg, 1)); n != 0 || err != nil {
		t.Errorf("%d messages, %v; want none", n, err)
	}
}

// With a seccomp filter that denies the system call, as containers have, the remedy says so.
func TestSeccompIsNamed(t *testing.T) {
	if !inChild(t) {
		return
	}
	if err := HavePath(PathUserModeOnly); err != nil {
		t.Skip(err)
	}
	denyUserfaultfd(t)
	_, err := Open(WithPaths(PathSyscall, PathUserModeOnly))
	refused, ok := errors.AsType[*OpenError](err)
	if !ok || len(refused.Refusals) != 2 {
		t.Fatalf("%v: want two refusals", err)
	}
	for _, r := range refused.Refusals {
		if !errors.Is(r.Err, unix.EPERM) || !strings.Contains(r.Remedy, "seccomp") {
			t.Errorf("%v: %v (%s)", r.Path, r.Err, r.Remedy)
		}
	}
	if who := readPrivileges(); who.Seccomp != "filter" {
		t.Errorf("seccomp mode %q", who.Seccomp)
	}
	if !errors.Is(err, ErrNotSupported) || !errors.Is(err, unix.EPERM) {
		t.Errorf("%v matches neither ErrNotSupported nor EPERM", err)
	}
}

// denyUserfaultfd makes userfaultfd(2) fail with EPERM in all threads of this process.
func denyUserfaultfd(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // seccomp_data.nr
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_USERFAULTFD},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
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
