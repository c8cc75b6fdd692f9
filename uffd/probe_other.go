//go:build !linux

package uffd

import (
	"os"
	"runtime"
)

// HavePath answers ErrNotSupported.
func HavePath(OpenPath) error { return notHere() }

// HaveFeatures answers ErrNotSupported.
func HaveFeatures(Features) error { return notHere() }

// HaveRegister answers ErrNotSupported.
func HaveRegister(MemoryKind, RegisterMode, Features) (IoctlSet, error) { return 0, notHere() }

// HaveIoctl answers ErrNotSupported.
func HaveIoctl(Ioctl) error { return notHere() }

// Probe answers no to every path.
func Probe() Report {
	r := Report{
		OS: runtime.GOOS, Arch: runtime.GOARCH, PageSizeBytes: PageSize(), Reason: notHere().Error(),
		Features: []FeatureReport{}, Ioctls: []IoctlReport{}, Memory: []MemoryReport{},
		Privileges: Privileges{UID: os.Geteuid()},
	}
	for _, path := range []OpenPath{PathDevice, PathSyscall, PathUserModeOnly} {
		r.Paths = append(r.Paths, PathReport{Path: path, Available: No, Reason: r.Reason, Remedy: "run on Linux"})
	}
	return r
}
