package uffd

import (
	"testing"

	"golang.org/x/sys/unix"
)

// queue is what FD.Pending tells: threads whose message was not read, and all that wait.
type queue struct{ pending, total int }

func waiters(t testing.TB, fd *FD) queue {
	t.Helper()
	unread, waiting, err := fd.Pending()
	if err != nil {
		t.Fatal(err)
	}
	return queue{unread, waiting}
}

// Fills with Dontwake leave the waiters asleep; one Wake ends it for all of them.
func TestDontwakeAndWake(t *testing.T) {
	if !inChild(t) {
		return
	}
	fd := openKernelMode(t)
	mem := anonymous(t, 3)
	register(t, fd, mem, ModeMissing)
	var done []<-chan touched
	for n := range 3 {
		done = append(done, writeToPipe(t, page(mem, n)))
		readFault(t, fd)
	}
	for n := range 3 {
		if _, err := fd.Copy(pageRange(mem, n).Start, pattern(byte(n), 1), CopyModeDontwake); err != nil {
			t.Fatal(err)
		}
	}
	if q := waiters(t, fd); q != (queue{0, 3}) {
		t.Errorf("after the fills %+v, want three that wait", q)
	}
	if err := fd.Wake(RangeOf(mem)); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if got := <-done[n]; got.err != nil || int(got.value) != n {
			t.Errorf("page %d: %d, %v", n, got.value, got.err)
		}
	}
}

// The kernel wakes nobody where the page is there already. The raw form leaves it at that; the
// finishing form wakes, unless it is told not to.
func TestExistingPageWakesItsWaiters(t *testing.T) {
	if !inChild(t) {
		return
	}
	fd := openKernelMode(t)
	mem, source := anonymous(t, 1), anonymous(t, 1)
	register(t, fd, mem, ModeMissing)
	done := writeToPipe(t, mem)
	readFault(t, fd)
	arg := copyArg{
		Dst: uint64(RangeOf(mem).Start), Src: uint64(RangeOf(source).Start), Len: uint64(PageSize()), Mode: CopyModeDontwake,
	}
	if errno := fd.rawCopy(&arg); errno != 0 {
		t.Fatal(errno)
	}
	arg.Mode = 0
	if errno := fd.rawCopy(&arg); errno != unix.EEXIST {
		t.Fatal(errno)
	}
	if n, err := fd.Copy(RangeOf(mem).Start, source, CopyModeDontwake); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if q := waiters(t, fd); q.total != 1 {
		t.Fatalf("%+v: the waiter was woken, so this test shows nothing", q)
	}
	if n, err := fd.Copy(RangeOf(mem).Start, source, 0); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if got := <-done; got.err != nil || got.value != 0 {
		t.Errorf("%d, %v", got.value, got.err)
	}
}

// Unregister and Close let the waiters go on, without their page.
func TestGivingBackWakes(t *testing.T) {
	if !inChild(t) {
		return
	}
	for name, giveBack := range map[string]func(fd *FD, r Range) error{
		"Unregister": (*FD).Unregister,
		"Close":      func(fd *FD, _ Range) error { return fd.Close() },
	} {
		fd := openKernelMode(t)
		mem := anonymous(t, 1)
		register(t, fd, mem, ModeMissing)
		done := writeToPipe(t, mem)
		readFault(t, fd)
		if err := giveBack(fd, RangeOf(mem)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := <-done; got.err != nil || got.value != 0 {
			t.Errorf("%s: %d, %v", name, got.value, got.err)
		}
	}
}
