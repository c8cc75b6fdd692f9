package uffd

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Every path that HavePath allows opens a descriptor that knows its kernel.
func TestOpenByEachPath(t *testing.T) {
	for _, path := range []OpenPath{PathDevice, PathSyscall, PathUserModeOnly} {
		t.Run(path.String(), func(t *testing.T) {
			if err := HavePath(path); err != nil {
				t.Skip(err)
			}
			fd := openTest(t, WithPaths(path))
			if fd.Path() != path || fd.UserModeOnly() != (path == PathUserModeOnly) {
				t.Errorf("opened by %v, user mode only: %v", fd.Path(), fd.UserModeOnly())
			}
			if fd.Enabled() != 0 {
				t.Errorf("enabled %v, asked for none", fd.Enabled())
			}
			register(t, fd, anonymous(t, 1), ModeMissing)
		})
	}
}

func TestDescriptorFlags(t *testing.T) {
	for name, opts := range map[string][]Option{"blocking": nil, "nonblocking": {WithNonblock()}} {
		t.Run(name, func(t *testing.T) {
			fd := openTest(t, opts...)
			flags, err := unix.FcntlInt(uintptr(fd.Fd()), unix.F_GETFD, 0)
			if err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor flags %#x, %v: not close-on-exec", flags, err)
			}
			status, err := unix.FcntlInt(uintptr(fd.Fd()), unix.F_GETFL, 0)
			if err != nil || status&unix.O_NONBLOCK != 0 != (opts != nil) {
				t.Errorf("status flags %#x, %v", status, err)
			}
		})
	}
}

// Required features are enabled or refused; optional ones are enabled as far as they are there.
func TestOpenFeatures(t *testing.T) {
	offered := openTest(t).Features()
	fd := openTest(t, WithFeatures(offered&(FeatureThreadID|FeatureExactAddress)), WithOptionalFeatures(FeatureEventRemap|1<<62))
	if want := offered & (FeatureThreadID | FeatureExactAddress | FeatureEventRemap); fd.Enabled() != want {
		t.Errorf("enabled %v, want %v", fd.Enabled(), want)
	}
	if fd.Features() != offered {
		t.Errorf("the kernel now offers %v, before %v", fd.Features(), offered)
	}
	_, err := Open(WithFeatures(1<<62 | FeatureThreadID))
	missing, ok := errors.AsType[*FeatureError](err)
	if !ok || missing.Missing&(1<<62) == 0 || missing.Offered != offered || !errors.Is(err, ErrNotSupported) {
		t.Errorf("unknown feature: %v", err)
	}
}

// The kernel's rules that Open is built on: a refused handshake may be repeated, a successful one
// may not, and nothing works before it.
func TestHandshakeRules(t *testing.T) {
	path := openTest(t).Path()
	raw, errno := newDescriptor(path, false)
	if errno != 0 {
		t.Fatal(errno)
	}
	fd := &FD{raw: raw}
	t.Cleanup(func() { _ = fd.Close() })
	if _, err := fd.Register(RangeOf(anonymous(t, 1)), ModeMissing); !errors.Is(err, unix.EINVAL) {
		t.Errorf("Register before the handshake: %v", err)
	}
	arg, errno := handshake(raw, 1<<62)
	if errno != unix.EINVAL || arg != (apiArg{}) {
		t.Errorf("unknown feature: %v, struct %+v; want EINVAL and zeros", errno, arg)
	}
	if arg, errno = handshake(raw, 0); errno != 0 || arg.API != apiVersion || arg.Features == 0 {
		t.Errorf("repeated handshake: %v, struct %+v", errno, arg)
	}
	if _, errno = handshake(raw, FeatureThreadID); errno != unix.EINVAL {
		t.Errorf("second handshake: %v, want EINVAL", errno)
	}
	register(t, fd, anonymous(t, 1), ModeMissing)
}

func TestCloseIsFinal(t *testing.T) {
	fd := openTest(t)
	mem := anonymous(t, 1)
	register(t, fd, mem, ModeMissing)
	if err := fd.Close(); err != nil {
		t.Fatal(err)
	}
	msgs := make([]Msg, 1)
	for name, call := range map[string]func() error{
		"Close":      fd.Close,
		"Register":   func() error { _, err := fd.Register(RangeOf(mem), ModeMissing); return err },
		"Unregister": func() error { return fd.Unregister(RangeOf(mem)) },
		"Wake":       func() error { return fd.Wake(RangeOf(mem)) },
		"Copy":       func() error { _, err := fd.Copy(RangeOf(mem).Start, pattern(1, 1), 0); return err },
		"Read":       func() error { _, err := fd.Read(msgs); return err },
		"TryRead":    func() error { _, err := fd.TryRead(msgs); return err },
	} {
		if err := call(); !errors.Is(err, ErrClosed) || !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
	if mem[0] != 0 {
		t.Error("a page that was never filled does not read as zeros after Close")
	}
}
