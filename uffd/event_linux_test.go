package uffd

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// eventPending reports whether a message waits to be read.
func eventPending(t *testing.T, fd *FD) bool {
	t.Helper()
	poll := []unix.PollFd{{Fd: int32(fd.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 0)
	if err != nil && err != unix.EINTR {
		t.Fatal(err)
	}
	return n == 1 && poll[0].Revents&unix.POLLIN != 0
}

// readEvent reads exactly one message, of one kind.
func readEvent(t *testing.T, fd *FD, event Event) Msg {
	t.Helper()
	var msgs [2]Msg
	n, err := fd.Read(msgs[:])
	if n != 1 || err != nil || msgs[0].Event != event {
		t.Fatalf("%d messages, %v: %v; want %v", n, err, &msgs[0], event)
	}
	return msgs[0]
}

// While an event is unread every fill answers EAGAIN with nothing done, in the raw form with the
// field that says so, and the thread that caused it sleeps. Reading ends both.
func TestUnreadEventStopsFills(t *testing.T) {
	if !inChild(t) {
		return
	}
	fd := openTest(t, WithFeatures(FeatureEventRemove), WithNonblock())
	mem, source := anonymous(t, 4), anonymous(t, 1)
	source[0] = 1
	register(t, fd, mem, ModeMissing)
	if _, err := fd.Zeropage(pageRange(mem, 0), 0); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- unix.Madvise(page(mem, 0), unix.MADV_DONTNEED) }()
	waitUntil(func() bool { return eventPending(t, fd) })
	target := pageRange(mem, 1)
	for request, fill := range map[Ioctl]func() (int, error){
		IoctlCopy:     func() (int, error) { return fd.Copy(target.Start, pattern(1, 1), 0) },
		IoctlZeropage: func() (int, error) { return fd.Zeropage(target, 0) },
		IoctlPoison:   func() (int, error) { return fd.Poison(target, 0) },
		IoctlMove:     func() (int, error) { return fd.Move(target.Start, RangeOf(source), 0) },
		IoctlContinue: func() (int, error) { return fd.Continue(target, 0) },
	} {
		name := ioctlName(int(request & 0xff))
		if err := HaveIoctl(request); errors.Is(err, ErrNotSupported) {
			t.Logf("%s is left out: %v", name, err)
			continue
		}
		if n, err := fill(); n != 0 || !isErr(err, ErrAgain, unix.EAGAIN) {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
	arg := copyArg{Dst: uint64(target.Start), Src: uint64(RangeOf(source).Start), Len: uint64(PageSize())}
	if errno := fd.rawCopy(&arg); errno != unix.EAGAIN || (arg.Copy != -int64(unix.EAGAIN) && arg.Copy != 0) {
		t.Errorf("rawCopy: %v with %d", errno, arg.Copy)
	}
	if len(done) != 0 {
		t.Error("madvise returned before its event was read")
	}
	if msg := readEvent(t, fd, EventRemove); msg.Removed() != pageRange(mem, 0) {
		t.Errorf("%v, want %v", &msg, pageRange(mem, 0))
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n, err := fd.Copy(RangeOf(mem).Start, pattern(2, 4), 0); n != 4*PageSize() || err != nil {
		t.Fatal(n, err)
	}
	checkPages(t, mem, 2, 2, 2, 2)
}

// A descriptor that nobody announced is not taken: the words of another message are no number.
func TestForkedTakesForksOnly(t *testing.T) {
	fd := openTest(t)
	for _, event := range []Event{EventPagefault, EventRemap, EventRemove, EventUnmap, 0} {
		m := Msg{Event: event, Arg: [3]uint64{2}}
		if _, err := fd.Forked(&m); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: %v", &m, err)
		}
	}
}

// Wait leaves the message for Read, and ends by the deadline and by Close as Read does.
func TestWaitLeavesTheMessage(t *testing.T) {
	if !inChild(t) {
		return
	}
	fd := openTest(t, WithFeatures(FeatureEventRemove))
	mem := anonymous(t, 1)
	register(t, fd, mem, ModeMissing)
	done := make(chan error, 1)
	go func() { done <- unix.Madvise(mem, unix.MADV_DONTNEED) }()
	for range 2 {
		if err := fd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	readEvent(t, fd, EventRemove)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := fd.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := fd.Wait(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	if err := fd.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	waits := make(chan error, 1)
	go func() { waits <- fd.Wait() }()
	if err := fd.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waits; !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// takeForked is FD.Forked for a message that is known to be right.
func takeForked(t *testing.T, fd *FD, m *Msg) *FD {
	t.Helper()
	child, err := fd.Forked(m)
	noErr(t, "take the child's descriptor", err)
	return child
}

// A moved mapping keeps its registration, and the message says where it went.
func TestRemapAndUnmapEvents(t *testing.T) {
	if !inChild(t) {
		return
	}
	fd := openTest(t, WithFeatures(FeatureEventRemap|FeatureEventUnmap), WithNonblock())
	defer fd.Close() // before the memory is unmapped, which would be an event that nobody reads
	size := uintptr(2 * PageSize())
	old, err := unix.MmapPtr(-1, 0, nil, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	to := anonymous(t, 2)
	from := RangeOf(unsafe.Slice((*byte)(old), size))
	if _, err := fd.Register(from, ModeMissing); err != nil {
		t.Fatal(err)
	}
	moved := make(chan error, 1)
	go func() {
		_, err := unix.MremapPtr(old, size, unsafe.Pointer(&to[0]), size, unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED)
		moved <- err
	}()
	remap := readEvent(t, fd, EventRemap)
	if source, target := remap.Remap(); source != from || target != RangeOf(to).Start {
		t.Errorf("%v: want %v to %v", &remap, from, RangeOf(to).Start)
	}
	// The old place goes, which is an event of its own.
	if unmap := readEvent(t, fd, EventUnmap); unmap.Removed() != from {
		t.Errorf("%v: want the old place, %v", &unmap, from)
	}
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
	if _, err := fd.Copy(RangeOf(to).Start, pattern(5, 2), 0); err != nil {
		t.Fatalf("the new place is not registered: %v", err)
	}
	checkPages(t, to, 5, 5)
}

// EVENT_FORK hands over a descriptor for the child's memory; once the child has ended its
// memory is gone, and the descriptor says so.
func TestForkEvent(t *testing.T) {
	if !inChild(t) {
		return
	}
	if who := readPrivileges(); !who.CapSysPtrace || who.UserNamespace {
		t.Skip("EVENT_FORK needs CAP_SYS_PTRACE")
	}
	fd := openTest(t, WithFeatures(FeatureEventFork), WithNonblock())
	mem := anonymous(t, 1)
	register(t, fd, mem, ModeMissing)
	forks := make(chan forked, 1)
	go func() { forks <- forkChild(t, stepWait()) }()
	msg := readEvent(t, fd, EventFork)
	child, err := fd.Forked(&msg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fd.Forked(&msg); !errors.Is(err, ErrInvalid) {
		t.Errorf("the same message again: %v", err)
	}
	defer child.Close()
	flags, err := unix.FcntlInt(uintptr(child.Fd()), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 || child.Enabled() != fd.Enabled() {
		t.Errorf("the child's descriptor: flags %#x, %v, features %v", flags, err, child.Enabled())
	}
	process := <-forks
	process.end(t)
	if _, err := child.Copy(RangeOf(mem).Start, pattern(1, 1), 0); !isErr(err, ErrGone, unix.ESRCH) {
		t.Errorf("Copy into a process that ended: %v", err)
	}
	if _, err := fd.Copy(RangeOf(mem).Start, pattern(1, 1), 0); err != nil {
		t.Errorf("Copy into this process: %v", err)
	}
}

// The fork of a process with two descriptors is a message of each, with a descriptor for the same ranges of the child. A
// fill asks whether the memory is registered, not by whom: find_dst_vma in mm/userfaultfd.c.
func TestForkWithTwoDescriptors(t *testing.T) {
	if !inChild(t) {
		return
	}
	if err := mayFollowForks(); err != nil {
		t.Skip(err)
	}
	var fds, children [2]*FD
	var mem [2][]byte
	for i := range fds {
		fds[i] = openTest(t, WithFeatures(FeatureEventFork), WithNonblock())
		mem[i] = anonymous(t, 1)
		register(t, fds[i], mem[i], ModeMissing)
	}
	forks := make(chan forked, 1)
	go func() {
		forks <- forkChild(t, stepLoad(RangeOf(mem[0]).Start, 1), stepLoad(RangeOf(mem[1]).Start, 2))
	}()
	// The kernel waits for each to be read before it sends the next, in an order of its own.
	for left := 2; left > 0; time.Sleep(100 * time.Microsecond) {
		for i, fd := range fds {
			var msgs [1]Msg
			n, err := fd.TryRead(msgs[:])
			noErr(t, "read", err)
			if n == 0 {
				continue
			}
			child, err := fd.Forked(&msgs[0])
			if err != nil || children[i] != nil {
				t.Fatalf("descriptor %d: %v, %v", i, &msgs[0], err)
			}
			defer child.Close()
			children[i] = child
			left--
		}
	}
	process := <-forks
	for i, child := range children {
		_, err := child.Copy(RangeOf(mem[1-i]).Start, pattern(byte(2-i), 1), 0)
		noErr(t, "copy into the other's memory", err)
	}
	for i, child := range children { // a fill wakes who waits at its own descriptor
		noErr(t, "wake", child.Wake(RangeOf(mem[i])))
	}
	process.end(t)
}

// TestWhatIsAnEvent: which calls on registered memory send which message, and which send none.
func TestWhatIsAnEvent(t *testing.T) {
	if !inChild(t) {
		return
	}
	needs(t, FeatureEventRemap|FeatureEventRemove|FeatureEventUnmap)
	const dontneedLocked, dontUnmap = 24, 4 // MADV_DONTNEED_LOCKED (5.18), MREMAP_DONTUNMAP (5.7)
	advise := func(advice int) func(Range) error {
		return func(r Range) error { return unix.Madvise(bytesAt(r), advice) }
	}
	fixed := func(r Range) error {
		_, err := unix.MmapPtr(-1, 0, unsafe.Pointer(&bytesAt(r)[0]), r.Len(), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED)
		return err
	}
	remap := func(flags uintptr) func(Range) error {
		return func(r Range) error {
			to := newArea(t, MemoryAnonymous, 4).hole(t)
			_, _, errno := unix.Syscall6(unix.SYS_MREMAP, uintptr(r.Start), r.Len(), r.Len(), unix.MREMAP_MAYMOVE|unix.MREMAP_FIXED|flags, uintptr(to), 0)
			if errno != 0 {
				return errno
			}
			return nil
		}
	}
	brk := func(to Addr) Addr {
		now, _, _ := unix.RawSyscall(unix.SYS_BRK, uintptr(to), 0, 0)
		return Addr(now)
	}
	pages := Addr(2 * PageSize())
	end := (brk(0) + Addr(PageSize()) - 1) &^ Addr(PageSize()-1)
	for _, c := range []struct {
		name   string
		change func(r Range) error
		events []Event
		since  bool                     // older kernels answer EINVAL
		memory func(t *testing.T) Range // if it is not two pages of anonymous memory
	}{
		{name: "MADV_DONTNEED", change: advise(unix.MADV_DONTNEED), events: []Event{EventRemove}},
		{name: "MADV_DONTNEED_LOCKED", change: advise(dontneedLocked), events: []Event{EventRemove}, since: true},
		{name: "MADV_FREE", change: advise(unix.MADV_FREE), events: []Event{EventRemove}},
		{name: "MADV_COLD", change: advise(unix.MADV_COLD), since: true},
		{name: "MADV_PAGEOUT", change: advise(unix.MADV_PAGEOUT), since: true},
		{name: "mprotect", change: func(r Range) error { return unix.Mprotect(bytesAt(r), unix.PROT_READ) }},
		{name: "munmap", change: func(r Range) error { return unix.MunmapPtr(unsafe.Pointer(&bytesAt(r)[0]), r.Len()) }, events: []Event{EventUnmap}},
		{name: "mmap over it", change: fixed, events: []Event{EventUnmap}},
		{name: "mremap", change: remap(0), events: []Event{EventRemap, EventUnmap}},
		{name: "mremap that leaves the mapping", change: remap(dontUnmap), events: []Event{EventRemap}, since: true},
		{name: "brk", events: []Event{EventUnmap}, change: func(r Range) error {
			if now := brk(r.Start); now != r.Start {
				return unix.EINVAL
			}
			return nil
		}, memory: func(t *testing.T) Range {
			if now := brk(end + pages); now != end+pages {
				t.Skipf("not supported here: brk to %v: it ends at %v", end+pages, now)
			}
			return Range{end, end + pages}
		}},
		// 25 is MADV_COLLAPSE (6.1): EINVAL also where huge pages are switched off.
		{name: "MADV_COLLAPSE", change: advise(25), since: true, memory: func(t *testing.T) Range {
			const huge = 2 << 20
			mem, err := unix.Mmap(-1, 0, 2*huge, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
			noErr(t, "mmap", err)
			start := (RangeOf(mem).Start + huge - 1) &^ (huge - 1)
			r := Range{start, start + huge}
			for n := range huge / PageSize() {
				page(bytesAt(r), n)[0] = 1
			}
			return r
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fd := openTest(t, WithFeatures(FeatureEventRemap|FeatureEventRemove|FeatureEventUnmap))
			var r Range
			if c.memory != nil {
				r = c.memory(t)
			} else {
				r = newArea(t, MemoryAnonymous, 2).rng()
			}
			bytesAt(r)[0] = 1
			register(t, fd, bytesAt(r), ModeMissing)
			changed := make(chan error, 1)
			go func() { changed <- c.change(r) }()
			var got []Event
			msgs, err := make([]Msg, 4), error(nil)
			for ended := false; !ended; {
				select {
				case err = <-changed:
					ended = true
				default:
					time.Sleep(100 * time.Microsecond)
				}
				n, readErr := fd.TryRead(msgs)
				noErr(t, "read", readErr)
				for _, m := range msgs[:n] {
					got = append(got, m.Event)
				}
			}
			if c.since && errors.Is(err, unix.EINVAL) {
				t.Skipf("the kernel does not know it: %v", err)
			}
			noErr(t, c.name, err)
			if !slices.Equal(got, c.events) {
				t.Errorf("events %v, want %v", got, c.events)
			}
		})
	}
}
