package uffd

import "fmt"

// OpenPath is one of the ways to obtain a descriptor.
type OpenPath uint8

// The ways, in the order in which Open tries them.
const (
	// PathDevice: USERFAULTFD_IOC_NEW on /dev/userfaultfd (Linux 6.1). The file's mode alone decides.
	PathDevice OpenPath = iota
	// PathSyscall: userfaultfd(2). Needs CAP_SYS_PTRACE or vm.unprivileged_userfaultfd=1.
	PathSyscall
	// PathUserModeOnly: userfaultfd(2) with UFFD_USER_MODE_ONLY (Linux 5.11), for everyone. A system
	// call that is handed an armed page then fails with EFAULT.
	PathUserModeOnly
	// PathAdopted: the descriptor was made elsewhere, see Adopt. Open does not take it.
	PathAdopted
)

// DevicePath is the file of PathDevice.
const DevicePath = "/dev/userfaultfd"

// String is a short lower-case name.
func (p OpenPath) String() string {
	switch p {
	case PathDevice:
		return "device"
	case PathSyscall:
		return "syscall"
	case PathUserModeOnly:
		return "user-mode-only"
	case PathAdopted:
		return "adopted"
	}
	return fmt.Sprintf("path %d", uint8(p))
}

// MarshalText is String, so that a Report reads well as JSON.
func (p OpenPath) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText accepts what MarshalText writes.
func (p *OpenPath) UnmarshalText(text []byte) error {
	for _, known := range []OpenPath{PathDevice, PathSyscall, PathUserModeOnly, PathAdopted} {
		if string(text) == known.String() {
			*p = known
			return nil
		}
	}
	return fmt.Errorf("%w: open path %q", ErrInvalid, text)
}
