package uffd

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestRemedyNamesWhatToChange(t *testing.T) {
	one, zero := 1, 0
	plain := Privileges{UnprivilegedSysctl: &zero, Seccomp: "none"}
	filtered := Privileges{UnprivilegedSysctl: &zero, Seccomp: "filter"}
	capable := Privileges{UnprivilegedSysctl: &zero, CapSysPtrace: true, Seccomp: "filter"}
	allowed := Privileges{UnprivilegedSysctl: &one, Seccomp: "filter"}
	namespaced := Privileges{UnprivilegedSysctl: &zero, CapSysPtrace: true, UserNamespace: true}
	for _, c := range []struct {
		name  string
		path  OpenPath
		errno unix.Errno
		who   Privileges
		want  string
	}{
		{"old kernel, or container without the device", PathDevice, unix.ENOENT, plain, remedyNoDevice},
		{"file mode", PathDevice, unix.EACCES, plain, remedyDeviceMode},
		{"device cgroup", PathDevice, unix.EPERM, capable, remedyDeviceGroup},
		{"some other file", PathDevice, unix.ENOTTY, plain, remedyNotDevice},
		{"kernel without it", PathSyscall, unix.ENOSYS, plain, remedyNoConfig},
		{"ordinary user", PathSyscall, unix.EPERM, plain, remedyCapability},
		{"ordinary user in a container", PathSyscall, unix.EPERM, filtered, remedyCapability + "; should that not help, " + remedySeccomp},
		{"capability, but a filter", PathSyscall, unix.EPERM, capable, remedySeccomp},
		{"sysctl, but a filter", PathSyscall, unix.EPERM, allowed, remedySeccomp},
		{"root of a namespace", PathSyscall, unix.EPERM, namespaced, remedyNamespace},
		{"everyone may, but a filter", PathUserModeOnly, unix.EPERM, plain, remedySeccomp},
		{"before 5.11", PathUserModeOnly, unix.EINVAL, plain, remedyOldKernel},
		{"out of descriptors", PathSyscall, unix.EMFILE, plain, remedyFiles},
		{"out of memory", PathDevice, unix.ENOMEM, plain, remedyAgain},
		{"never heard of", PathSyscall, unix.EIO, plain, remedyUnknown},
		{"never heard of, device", PathDevice, unix.EIO, plain, remedyUnknown},
	} {
		if got := remedy(c.path, c.errno, c.who); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
