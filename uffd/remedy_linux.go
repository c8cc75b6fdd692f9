package uffd

import "golang.org/x/sys/unix"

// What to do about a refusal. The texts name the exact command, since they end up in front of
// someone who has never heard of userfaultfd.
const (
	remedyNoDevice     = "needs Linux 6.1 or later; in a container pass the device: docker run --device /dev/userfaultfd"
	remedyDeviceMode   = "grant read access to the file: setfacl -m u:USER:r /dev/userfaultfd, or an udev rule with KERNEL==\"userfaultfd\", GROUP=\"...\", MODE=\"0440\" and that group for the service"
	remedyDeviceGroup  = "the container's device rules forbid it, or a seccomp filter denies ioctl: docker run --device /dev/userfaultfd, and allow ioctl in the profile"
	remedyDeviceFilter = "a seccomp filter denies openat or ioctl: allow them in the process's profile"
	remedyNotDevice    = "the file is not the kernel's device: remove it, and let the kernel or udev create it"
	remedyNoConfig     = "the kernel was built without CONFIG_USERFAULTFD, or a seccomp filter hides the system call: use a kernel with it, allow userfaultfd in the seccomp profile, or pass /dev/userfaultfd"
	remedyCapability   = "grant CAP_SYS_PTRACE (setcap cap_sys_ptrace+ep PROGRAM, or docker run --cap-add SYS_PTRACE), or sysctl -w vm.unprivileged_userfaultfd=1"
	remedyNamespace    = "CAP_SYS_PTRACE counts only in the initial user namespace: sysctl -w vm.unprivileged_userfaultfd=1 on the host, or pass /dev/userfaultfd"
	remedySeccomp      = "a seccomp filter denies the system call: allow userfaultfd in the container's profile (docker run --security-opt seccomp=FILE), or pass /dev/userfaultfd"
	remedyOldKernel    = "needs Linux 5.11 or later"
	remedyFiles        = "raise the limit of open files: ulimit -n, or LimitNOFILE="
	remedyAgain        = "free some memory, and try again"
	remedyUnknown      = "not a refusal that this program knows: see dmesg and the audit log for a security module"
)

// refusal explains why a path did not yield a descriptor.
func refusal(path OpenPath, errno unix.Errno) Refusal {
	return Refusal{Path: path, Err: errno, Remedy: remedy(path, errno, readPrivileges()), Passing: passing(errno)}
}

// passing reports whether an errno tells of the moment rather than of the system.
func passing(errno unix.Errno) bool {
	return errno == unix.EMFILE || errno == unix.ENFILE || errno == unix.ENOMEM || errno == unix.EINTR
}

// remedy is a pure function of what was asked, what the kernel said and who asked.
func remedy(path OpenPath, errno unix.Errno, who Privileges) string {
	switch {
	case errno == unix.EMFILE || errno == unix.ENFILE:
		return remedyFiles
	case passing(errno):
		return remedyAgain
	case path == PathDevice:
		return deviceRemedy(errno)
	case errno == unix.ENOSYS:
		return remedyNoConfig
	case errno == unix.EINVAL && path == PathUserModeOnly:
		return remedyOldKernel
	case errno != unix.EPERM:
		return remedyUnknown
	case path == PathUserModeOnly || who.passesSyscallRule():
		// The kernel's own rule would have let the call pass.
		return remedySeccomp
	case who.CapSysPtrace && who.UserNamespace:
		return remedyNamespace
	case who.Seccomp == "filter":
		return remedyCapability + "; should that not help, " + remedySeccomp
	}
	return remedyCapability
}

func deviceRemedy(errno unix.Errno) string {
	switch errno {
	case unix.ENOENT, unix.ENXIO, unix.ENODEV:
		return remedyNoDevice
	case unix.EACCES:
		return remedyDeviceMode
	case unix.EPERM:
		return remedyDeviceGroup
	case unix.ENOSYS:
		return remedyDeviceFilter
	case unix.ENOTTY, unix.EINVAL:
		return remedyNotDevice
	}
	return remedyUnknown
}

// passesSyscallRule is the kernel's rule for userfaultfd(2) without UFFD_USER_MODE_ONLY.
func (p Privileges) passesSyscallRule() bool {
	return p.CapSysPtrace && !p.UserNamespace || p.UnprivilegedSysctl != nil && *p.UnprivilegedSysctl == 1
}
