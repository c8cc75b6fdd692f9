package uffd

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Open obtains a descriptor for the memory of the calling process: by the device, by the system
// call, or restricted to user mode, whichever is granted first. It fails with an OpenError where
// all are refused, and with a FeatureError where the kernel lacks a required feature.
//
// An FD is not closed by the garbage collector: that would unregister its ranges, and memory that
// still has to be filled would read as zeros.
//
// Needs Linux 4.3; by the device 6.1, for user mode only 5.11.
func Open(opts ...Option) (*FD, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	path, kernel, err := choosePath(c.paths)
	if err != nil {
		return nil, err
	}
	if err := checkOffered(c.required, Features(kernel.Features)); err != nil {
		return nil, err
	}
	raw, errno := newDescriptor(path, c.nonblock)
	if errno != 0 {
		return nil, &OpenError{[]Refusal{refusal(path, errno)}}
	}
	enabled, errno := enable(raw, c.required, c.optional&Features(kernel.Features))
	if errno != 0 {
		_ = unix.Close(raw)
		return nil, enableError(c.required, errno)
	}
	return &FD{
		raw: raw, path: path, known: true,
		features: Features(kernel.Features), enabled: enabled,
	}, nil
}

// choosePath takes the first path that yields a descriptor, and asks there what the kernel can do.
func choosePath(paths []OpenPath) (OpenPath, apiArg, error) {
	if !knownArch() {
		return 0, apiArg{}, errArch()
	}
	var refused OpenError
	for _, path := range paths {
		kernel, errno := offered(path)
		if errno == 0 {
			return path, kernel, nil
		}
		refused.Refusals = append(refused.Refusals, refusal(path, errno))
	}
	return 0, apiArg{}, &refused
}

func checkOffered(want, offered Features) error {
	if missing := want &^ offered; missing != 0 {
		return &FeatureError{Missing: missing, Offered: offered}
	}
	return nil
}

// knownArch reports whether the numbers of abi.go are this architecture's: those with the kernel's
// generic encoding of ioctls, include/uapi/asm-generic/ioctl.h. MIPS and PowerPC have one of their own.
func knownArch() bool {
	switch runtime.GOARCH {
	case "amd64", "arm64", "riscv64", "loong64", "arm", "386", "s390x":
		return true
	}
	return false
}

func errArch() error {
	return fmt.Errorf("%w: the ioctl numbers are not known for %s", ErrNotSupported, runtime.GOARCH)
}

// enable shakes hands, and does without optional features that are offered but refused: EVENT_FORK
// where the capability is missing, then all of them.
func enable(raw int, required, optional Features) (Features, unix.Errno) {
	var errno unix.Errno
	for _, extra := range []Features{optional, optional &^ FeatureEventFork, 0} {
		if _, errno = handshake(raw, required|extra); errno == 0 {
			return withImplied(required | extra), 0
		}
	}
	return 0, errno
}

// withImplied adds what the kernel enables by itself (userfaultfd_api in fs/userfaultfd.c).
func withImplied(f Features) Features {
	if f.Has(FeatureWPAsync) {
		f |= FeatureWPUnpopulated
	}
	return f
}

func enableError(required Features, errno unix.Errno) error {
	err := newError("UFFDIO_API", Range{}, 0, errno)
	if errno == unix.EPERM {
		return fmt.Errorf("enable %v: EVENT_FORK needs CAP_SYS_PTRACE (setcap cap_sys_ptrace+ep on the program, or --cap-add SYS_PTRACE for a container): %w", required, err)
	}
	return fmt.Errorf("enable %v: %w", required, err)
}
