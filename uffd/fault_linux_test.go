package uffd

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// readFault reads until there is a page fault, and fails on anything else.
func readFault(t testing.TB, fd *FD) Msg {
	t.Helper()
	var msgs [1]Msg
	n, err := fd.Read(msgs[:])
	if n != 1 || err != nil || !msgs[0].IsPagefault() {
		t.Fatalf("read %d messages, %v: %v; want a page fault", n, err, &msgs[0])
	}
	return msgs[0]
}

// A message names the access, the exact address and the thread; the fill lets it go on.
func TestMissingFault(t *testing.T) {
	if !inChild(t) {
		return
	}
	fd := openTest(t, WithFeatures(FeatureThreadID|FeatureExactAddress))
	mem := anonymous(t, 2)
	register(t, fd, mem, ModeMissing)
	for _, c := range []struct {
		name  string
		flags PagefaultFlags
		touch func(p []byte)
	}{
		{"read", 0, func(p []byte) { runtime.KeepAlive(p[123]) }},
		{"write", PagefaultFlagWrite, func(p []byte) { p[123] = 1 }},
	} {
		p := page(mem, 0)
		if c.flags != 0 {
			p = page(mem, 1)
		}
		thread, done := make(chan int, 1), make(chan struct{})
		go func() {
			runtime.LockOSThread()
			thread <- unix.Gettid()
			c.touch(p)
			close(done)
		}()
		msg := readFault(t, fd)
		if msg.Flags() != c.flags || msg.Address() != RangeOf(p).Start+123 || int(msg.Thread()) != <-thread {
			t.Errorf("%s: %v", c.name, &msg)
		}
		if _, err := fd.Copy(msg.Address().AlignDown(uintptr(PageSize())), pattern(4, 1), 0); err != nil {
			t.Fatal(err)
		}
		<-done
	}
	if page(mem, 0)[123] != 4 || page(mem, 1)[123] != 1 || page(mem, 1)[0] != 4 {
		t.Error("the memory is not what was filled and written")
	}
}

// Without the features the address is the page's, and the thread is not told.
func TestMissingFaultWithoutFeatures(t *testing.T) {
	if !inChild(t) {
		return
	}
	fd := openTest(t)
	mem := anonymous(t, 1)
	register(t, fd, mem, ModeMissing)
	done := load(mem[123:])
	if msg := readFault(t, fd); msg.Address() != RangeOf(mem).Start || msg.Thread() != 0 {
		t.Errorf("%v: want the page's address, and thread 0", &msg)
	}
	if _, err := fd.Zeropage(RangeOf(mem), 0); err != nil {
		t.Fatal(err)
	}
	if v := <-done; v != 0 {
		t.Errorf("a page of zeros reads as %d", v)
	}
}

func TestMinorFault(t *testing.T) {
	if !inChild(t) {
		return
	}
	if _, err := HaveRegister(MemoryMemfd, ModeMinor, 0); err != nil {
		t.Skip(err)
	}
	fd := openTest(t)
	mem, alias := aliased(t, 2)
	alias[0] = 6
	register(t, fd, mem, ModeMinor)
	done := load(mem)
	if msg := readFault(t, fd); msg.Flags() != PagefaultFlagMinor {
		t.Errorf("%v: want a minor read", &msg)
	}
	if n, err := fd.Continue(pageRange(mem, 0), 0); n != PageSize() || err != nil {
		t.Fatal(n, err)
	}
	if v := <-done; v != 6 {
		t.Errorf("read %d, want what the alias wrote", v)
	}
	// Present now: nothing left to map. The second page does not exist in the file.
	if n, err := fd.Continue(pageRange(mem, 0), 0); n != 0 || err != nil {
		t.Errorf("Continue of a mapped page: %d bytes, %v", n, err)
	}
	if _, err := fd.Continue(pageRange(mem, 1), 0); !isErr(err, ErrFault, unix.EFAULT) {
		t.Errorf("Continue of a page that the file does not have: %v", err)
	}
}

func TestWriteProtectFault(t *testing.T) {
	if !inChild(t) {
		return
	}
	if _, err := HaveRegister(MemoryAnonymous, ModeWP, 0); err != nil {
		t.Skip(err)
	}
	fd := openTest(t, WithFeatures(FeaturePagefaultFlagWP))
	mem := anonymous(t, 1)
	mem[0] = 3
	register(t, fd, mem, ModeWP)
	if err := fd.Protect(RangeOf(mem)); err != nil {
		t.Fatal(err)
	}
	if mem[0] != 3 {
		t.Error("a protected page does not read as before")
	}
	done := make(chan struct{})
	go func() { mem[0] = 4; close(done) }()
	if msg := readFault(t, fd); msg.Flags() != PagefaultFlagWP|PagefaultFlagWrite {
		t.Errorf("%v: want a write to a protected page", &msg)
	}
	if err := fd.Unprotect(RangeOf(mem)); err != nil {
		t.Fatal(err)
	}
	<-done
	if mem[0] != 4 {
		t.Error("the write was lost")
	}
}

// Every second page is poisoned; exactly those are errors, in user mode and in system calls.
func TestPoison(t *testing.T) {
	if !inChild(t) {
		return
	}
	if err := HaveIoctl(IoctlPoison); err != nil {
		t.Skip(err)
	}
	fd := openTest(t)
	mem := anonymous(t, 6)
	register(t, fd, mem, ModeMissing)
	for n := range 6 {
		var err error
		if n%2 == 0 {
			_, err = fd.Poison(pageRange(mem, n), 0)
		} else {
			_, err = fd.Zeropage(pageRange(mem, n), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range 6 {
		if fatal := touchFaults(page(mem, n)); fatal != (n%2 == 0) {
			t.Errorf("page %d: SIGBUS is %v", n, fatal)
		}
		if got := <-writeToPipe(t, page(mem, n)); (got.err != nil) != (n%2 == 0) {
			t.Errorf("page %d: write(2): %v", n, got.err)
		}
	}
	n, err := fd.Poison(pageRange(mem, 1), 0)
	if n != 0 || !isErr(err, ErrExist, unix.EEXIST) {
		t.Errorf("Poison of a present page: %d bytes, %v", n, err)
	}
}

// Read that waits wakes up at its deadline, and at Close. Nothing is said about how soon.
func TestReadDeadline(t *testing.T) {
	if !inChild(t) {
		return
	}
	fd := openTest(t)
	var msgs [1]Msg
	if err := fd.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := fd.Read(msgs[:]); n != 0 || !isErr(err, errDeadline) {
		t.Errorf("%d messages, %v", n, err)
	}
	if err := fd.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	mem := anonymous(t, 1)
	register(t, fd, mem, ModeMissing)
	done := load(mem)
	readFault(t, fd) // the deadline is gone
	if _, err := fd.Zeropage(RangeOf(mem), 0); err != nil {
		t.Fatal(err)
	}
	<-done
}
