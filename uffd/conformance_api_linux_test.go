package uffd

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// conformAPI holds the handshake, on one way of opening.
func conformAPI(t *testing.T, kind MemoryKind) {
	path := map[string]OpenPath{
		PathDevice.String(): PathDevice, PathSyscall.String(): PathSyscall, PathUserModeOnly.String(): PathUserModeOnly,
	}[string(kind)]
	if err := HavePath(path); err != nil {
		t.Skip(err)
	}
	raw := rawDescriptor(t, path)
	for _, c := range []struct {
		name  string
		arg   apiArg
		errno unix.Errno
	}{
		{"wrong version", apiArg{API: apiVersion + 1}, unix.EINVAL},
		{"unknown feature", apiArg{API: apiVersion, Features: 1 << 62}, unix.EINVAL},
		{"no feature", apiArg{API: apiVersion}, 0},
		{"second handshake", apiArg{API: apiVersion}, unix.EINVAL},
		{"second handshake with a feature", apiArg{API: apiVersion, Features: uint64(FeatureThreadID)}, unix.EINVAL},
	} {
		arg := c.arg
		if errno := rawAPI(raw, &arg); errno != c.errno {
			t.Errorf("%s: %v, want %v", c.name, errno, c.errno)
		}
		if c.errno != 0 && arg != (apiArg{}) {
			t.Errorf("%s: the struct came back as %+v, want zeros", c.name, arg)
		}
		if c.errno == 0 {
			ioctls := IoctlSet(arg.Ioctls)
			if arg.API != apiVersion || arg.Features == 0 || !ioctls.Has(IoctlAPI) || !ioctls.Has(IoctlRegister) || !ioctls.Has(IoctlUnregister) {
				t.Errorf("%s: answered %+v", c.name, arg)
			}
		}
	}
	// What was not asked for is not enabled, though it was in the answer: no thread id in a message.
	if _, err := Open(WithPaths(path), WithFeatures(1<<62)); !errors.Is(err, ErrNotSupported) {
		t.Errorf("Open with an unknown feature: %v", err)
	}
}

// rawDescriptor opens a descriptor without the handshake.
func rawDescriptor(t *testing.T, path OpenPath) int {
	t.Helper()
	raw, errno := newDescriptor(path, true)
	if errno != 0 {
		t.Fatal(errno)
	}
	t.Cleanup(func() { _ = unix.Close(raw) })
	return raw
}

// conformRegister holds every combination of modes.
func conformRegister(t *testing.T, kind MemoryKind) {
	offered := openTest(t).Features()
	for mode := range ModeMissing | ModeWP | ModeMinor + 1 {
		for _, enable := range []Features{0, FeatureWPAsync} {
			if !offered.Has(enable) {
				continue
			}
			a := newArea(t, kind, 1)
			fd := a.open(t, WithFeatures(enable))
			got, err := fd.Register(a.rng(), mode)
			want := registerMask(kind, mode, offered, enable)
			if want == 0 && !isErr(err, ErrInvalid, unix.EINVAL) {
				t.Errorf("%v with %v: %v and %v, want EINVAL", mode, enable, got, err)
			}
			if want != 0 && (err != nil || got != want) {
				t.Errorf("%v with %v: %v, %v, want %v", mode, enable, got, err, want)
			}
			probed, probeErr := HaveRegister(kind, mode, enable)
			conclusive := probeErr == nil || errors.Is(probeErr, ErrNotSupported)
			if mode != 0 && conclusive && (probeErr == nil) != (err == nil) || err == nil && probed != got {
				t.Errorf("%v with %v: the probe says %v, %v; Register %v, %v", mode, enable, probed, probeErr, got, err)
			}
			a.unmap(t)
		}
	}
}

// registerMask is what the kernel answers, userfaultfd_register and vma_can_userfault; 0 is EINVAL.
func registerMask(kind MemoryKind, mode RegisterMode, offered, enabled Features) IoctlSet {
	huge := kind == MemoryHugetlb || kind == MemoryHugetlbPrivate
	shmem := kind == MemoryShmem || kind == MemoryMemfd || kind == MemoryMemfdPrivate
	need := map[RegisterMode]Features{}
	switch {
	case huge:
		need = map[RegisterMode]Features{ModeMissing: FeatureMissingHugetlbfs, ModeWP: FeatureWPHugetlbfsShmem, ModeMinor: FeatureMinorHugetlbfs}
	case shmem:
		need = map[RegisterMode]Features{ModeMissing: FeatureMissingShmem, ModeWP: FeatureWPHugetlbfsShmem, ModeMinor: FeatureMinorShmem}
	case kind == MemoryAnonymous:
		need = map[RegisterMode]Features{ModeMissing: 0, ModeWP: FeaturePagefaultFlagWP}
	case enabled.Has(FeatureWPAsync) && mode == ModeWP:
		need = map[RegisterMode]Features{ModeWP: FeatureWPAsync}
	}
	for bit := ModeMissing; bit <= ModeMinor; bit <<= 1 {
		features, allowed := need[bit]
		if mode&bit != 0 && (!allowed || !offered.Has(features)) {
			return 0
		}
	}
	if mode == 0 {
		return 0
	}
	bit := func(request Ioctl, have bool) IoctlSet {
		if !have {
			return 0
		}
		return 1 << (request & 0x3f)
	}
	return bit(IoctlWake, true) | bit(IoctlCopy, true) | bit(IoctlZeropage, !huge) |
		bit(IoctlMove, !huge && offered.Has(FeatureMove)) | bit(IoctlPoison, offered.Has(FeaturePoison)) |
		bit(IoctlWriteProtect, mode&ModeWP != 0) | bit(IoctlContinue, mode&ModeMinor != 0)
}
