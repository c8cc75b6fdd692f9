package uffd

import (
	"errors"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// The tests of this file hold answers of docs/userfaultfd.md that no other test holds.

// What "consistent" means: a page appears whole or not at all, once, whoever fills it. Of two fills
// that race, one wins, and a thread never sees a part of it, nor a part of the other.
func TestResolutionIsConsistent(t *testing.T) {
	if !inChild(t) {
		return
	}
	fd := openTest(t)
	mem := anonymous(t, 1)
	register(t, fd, mem, ModeMissing)
	for round := range 50 {
		torn, filled := make(chan bool, 1), make(chan int, 2)
		go func() {
			last := mem[len(mem)-1] // this waits
			ok := last == 1 || last == 2
			for _, b := range mem {
				ok = ok && b == last
			}
			torn <- !ok
		}()
		readFault(t, fd)
		for value := range 2 {
			go func() {
				n, err := fd.Copy(RangeOf(mem).Start, pattern(byte(value+1), 1), 0)
				if err != nil {
					t.Error(err)
				}
				filled <- n
			}()
		}
		if <-torn {
			t.Fatalf("round %d: a thread saw a part of a page", round)
		}
		if sum := <-filled + <-filled; sum != PageSize() {
			t.Fatalf("round %d: two fills filled %d bytes, want one page", round, sum)
		}
		if err := unix.Madvise(mem, unix.MADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
		// A signal may have sent the touch again, and that message is of no page by now.
		if _, err := fd.TryRead(make([]Msg, 4)); err != nil {
			t.Fatal(err)
		}
	}
}

// Every errno of the handshake, and what comes back in the struct. EPERM comes to an ordinary user
// only: see TestHandshakeErrnosAsOrdinaryUser.
func TestHandshakeErrnos(t *testing.T) {
	raw := rawDescriptor(t, openTest(t).Path())
	if errno := rawIoctl(raw, IoctlAPI, 1); errno != unix.EFAULT {
		t.Errorf("an argument that cannot be read: %v", errno)
	}
	for name, arg := range map[string]apiArg{
		"version":       {API: 0xab},
		"feature":       {API: apiVersion, Features: 1 << 63},
		"both":          {API: 1, Features: 1 << 63},
		"output filled": {API: 0xab, Ioctls: 77},
	} {
		if errno := rawAPI(raw, &arg); errno != unix.EINVAL || arg != (apiArg{}) {
			t.Errorf("%s: %v, struct %+v; want EINVAL and zeros, which do not tell why", name, errno, arg)
		}
	}
	if mayFollowForks() != nil {
		arg := apiArg{API: apiVersion, Features: uint64(FeatureEventFork)}
		if errno := rawAPI(raw, &arg); errno != unix.EPERM || arg != (apiArg{}) {
			t.Errorf("EVENT_FORK without the capability: %v, struct %+v; want EPERM and zeros", errno, arg)
		}
	}
	// After a refusal the descriptor is as new.
	arg := apiArg{API: apiVersion}
	if errno := rawAPI(raw, &arg); errno != 0 {
		t.Errorf("then a right one: %v", errno)
	}
	arg = apiArg{API: apiVersion}
	if errno := rawAPI(raw, &arg); errno != unix.EINVAL || arg != (apiArg{}) {
		t.Errorf("a second one: %v, struct %+v", errno, arg)
	}
}

func TestHandshakeErrnosAsOrdinaryUser(t *testing.T) {
	if asNobody(t) {
		TestHandshakeErrnos(t)
	}
}

// Before the handshake every ioctl, read(2) and poll(2) refuse.
func TestBeforeTheHandshake(t *testing.T) {
	raw := rawDescriptor(t, openTest(t).Path())
	for _, request := range []Ioctl{
		IoctlRegister, IoctlUnregister, IoctlWake, IoctlCopy, IoctlZeropage, IoctlMove,
		IoctlWriteProtect, IoctlContinue, IoctlPoison, IoctlRWProtect, IoctlSetMode, 0xaa55,
	} {
		// Not even the argument is looked at.
		if errno := rawIoctl(raw, request, 1); errno != unix.EINVAL {
			t.Errorf("%v: %v", request, errno)
		}
	}
	if _, err := unix.Read(raw, make([]byte, msgSize)); err != unix.EINVAL {
		t.Errorf("read: %v", err)
	}
	poll := []unix.PollFd{{Fd: int32(raw), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 0); n != 1 || err != nil || poll[0].Revents != unix.POLLERR {
		t.Errorf("poll: %d, %v, %#x; want POLLERR", n, err, poll[0].Revents)
	}
}

// EFAULT is for an argument that cannot be read, for every ioctl.
func TestUnreadableArgumentIsEFAULT(t *testing.T) {
	fd := openTest(t)
	for request, bit := range map[Ioctl]Features{
		IoctlRegister: 0, IoctlUnregister: 0, IoctlWake: 0, IoctlCopy: 0, IoctlZeropage: 0,
		IoctlContinue: FeatureMinorShmem, IoctlMove: FeatureMove, IoctlPoison: FeaturePoison,
		IoctlWriteProtect: FeaturePagefaultFlagWP,
	} {
		if !fd.Features().Has(bit) {
			continue // the request is not known either, which is EINVAL
		}
		if errno := rawIoctl(fd.Fd(), request, 1); errno != unix.EFAULT {
			t.Errorf("%v: %v", request, errno)
		}
	}
}

// An argument that can be read but not written: the answer cannot be given, though the work is done.
func TestReadOnlyArgument(t *testing.T) {
	fd := openTest(t)
	mem := anonymous(t, 1)
	arg := anonymous(t, 1)
	fillRegisterArg(arg, RangeOf(mem))
	if err := unix.Mprotect(arg, unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	if errno := rawIoctl(fd.Fd(), IoctlRegister, uintptr(RangeOf(arg).Start)); errno != unix.EFAULT {
		t.Errorf("%v, want EFAULT", errno)
	}
	if _, err := fd.Copy(RangeOf(mem).Start, pattern(3, 1), 0); err != nil {
		t.Errorf("the range is not registered after all: %v", err)
	}
}

// A read of less than a message is EINVAL.
func TestShortReadIsEINVAL(t *testing.T) {
	fd := openTest(t, WithNonblock())
	if _, err := unix.Read(fd.Fd(), make([]byte, msgSize-1)); err != unix.EINVAL {
		t.Errorf("%v", err)
	}
	if _, err := unix.Read(fd.Fd(), make([]byte, msgSize)); err != unix.EAGAIN {
		t.Errorf("a whole one: %v, want EAGAIN", err)
	}
}

// Where the kernel has no read-write protection its mode and its ioctls are refused, and the probes
// say so; where it has, row 15 of the conformance suite looks closer.
func TestReadWriteProtectionIsProbed(t *testing.T) {
	fd := openTest(t)
	have := fd.Features().Has(FeatureRWP)
	if _, err := HaveRegister(MemoryAnonymous, ModeRWP, FeatureRWP); (err == nil) != have || err != nil && !errors.Is(err, ErrNotSupported) {
		t.Errorf("feature %v, but the probe of the mode says %v", have, err)
	}
	if err := HaveIoctl(IoctlRWProtect); (err == nil) != have || err != nil && !errors.Is(err, ErrNotSupported) {
		t.Errorf("feature %v, but the probe of the ioctl says %v", have, err)
	}
	if have {
		return
	}
	mem := anonymous(t, 1)
	if _, err := fd.Register(RangeOf(mem), ModeRWP); !isErr(err, ErrInvalid, unix.EINVAL) {
		t.Errorf("Register: %v", err)
	}
	register(t, fd, mem, ModeMissing)
	if err := fd.RWProtect(RangeOf(mem)); !isErr(err, ErrInvalid, unix.EINVAL) {
		t.Errorf("RWProtect: %v", err)
	}
	if err := fd.SetMode(FeatureRWPAsync, 0); !isErr(err, ErrInvalid, unix.EINVAL) {
		t.Errorf("SetMode: %v", err)
	}
}

// arm64 differs in the system call's number and in its page sizes, not in the ABI.
func TestArchitecture(t *testing.T) {
	numbers := map[string]uintptr{"amd64": 323, "arm64": 282}
	if want, known := numbers[runtime.GOARCH]; known && unix.SYS_USERFAULTFD != want {
		t.Errorf("userfaultfd(2) is number %d, want %d", unix.SYS_USERFAULTFD, want)
	}
	switch PageSize() {
	case 4 << 10, 16 << 10, 64 << 10:
	default:
		t.Errorf("pages of %d bytes", PageSize())
	}
	fd := openTest(t)
	mem := anonymous(t, 2)
	// The kernel's unit is ours: no smaller range is taken, and the largest page is.
	half := Range{RangeOf(mem).Start, RangeOf(mem).Start + Addr(PageSize()/2)}
	if _, err := fd.Register(half, ModeMissing); !isErr(err, ErrInvalid, unix.EINVAL) {
		t.Errorf("half a page: %v", err)
	}
	register(t, fd, page(mem, 0), ModeMissing)
}
