package uffd

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// A descriptor that came over a Unix socket works on the memory of the program that made it, and
// outlives that program's own.
func TestAdopt(t *testing.T) {
	made := openTest(t, WithFeatures(FeatureThreadID))
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	if err := unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(made.Fd()), nil, 0); err != nil {
		t.Fatal(err)
	}
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(pair[1], make([]byte, 1), oob, 0)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		t.Fatal(len(messages), err)
	}
	received, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		t.Fatal(err)
	}
	mem := anonymous(t, 2)
	register(t, made, mem, ModeMissing)
	if _, err := Adopt(received[0], WithFeatures(FeatureExactAddress)); !errors.Is(err, ErrNotSupported) {
		t.Errorf("a feature that is not enabled: %v", err)
	}
	fd, err := Adopt(received[0]) // what is enabled is read from the kernel
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	if fd.Path() != PathAdopted || fd.Enabled() != FeatureThreadID || fd.UserModeOnly() {
		t.Errorf("path %v, enabled %v, user mode only %v", fd.Path(), fd.Enabled(), fd.UserModeOnly())
	}
	if flags, err := unix.FcntlInt(uintptr(fd.Fd()), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("descriptor flags %#x, %v", flags, err)
	}
	if err := made.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := fd.Copy(RangeOf(mem).Start, pattern(6, 2), 0); err != nil {
		t.Fatal(err)
	}
	checkPages(t, mem, 6, 6)
}

func TestAdoptRefusesOtherFiles(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := Adopt(int(file.Fd())); !isErr(err, ErrInvalid, unix.ENOTTY) {
		t.Errorf("%s: %v", os.DevNull, err)
	}
	raw := rawDescriptor(t, openTest(t).Path())
	if _, err := Adopt(raw); !errors.Is(err, ErrInvalid) {
		t.Errorf("a descriptor without its handshake: %v", err)
	}
	if _, err := Adopt(-1); !isErr(err, ErrInvalid, unix.EBADF) || errors.Is(err, ErrClosed) {
		t.Errorf("no file: %v", err)
	}
}
