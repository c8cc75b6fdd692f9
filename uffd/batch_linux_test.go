package uffd

import (
	"testing"
)

// Several fills leave their waiters asleep, and one Wake ends the wait of all.
func TestBatchWakesOnce(t *testing.T) {
	if !inChild(t) {
		return
	}
	fd := openKernelMode(t)
	const pages = 5
	mem, source := anonymous(t, pages), anonymous(t, 1)
	source[0] = 3
	register(t, fd, mem, ModeMissing)
	var done []<-chan touched
	for n := range pages {
		done = append(done, writeToPipe(t, page(mem, n)))
		readFault(t, fd)
	}
	b := fd.Batch()
	noMove := HaveIoctl(IoctlMove)
	if noMove != nil {
		leaveOut(t, "UFFDIO_MOVE", noMove)
	}
	steps := []func() (int, error){
		func() (int, error) { return b.Copy(pageRange(mem, 0).Start, pattern(1, 2), 0) }, // pages 0 and 1
		func() (int, error) { return b.Zeropage(pageRange(mem, 2), 0) },
		func() (int, error) {
			if noMove != nil {
				return b.Copy(pageRange(mem, 4).Start, pattern(3, 1), 0)
			}
			return b.Move(pageRange(mem, 4).Start, RangeOf(source), 0)
		},
	}
	for i, fill := range steps {
		if n, err := fill(); n == 0 || err != nil {
			t.Fatalf("fill %d: %d bytes, %v", i, n, err)
		}
		// A page that is there has no waiters woken either.
		if n, err := b.Copy(pageRange(mem, 0).Start, pattern(9, 1), 0); n != 0 || err != nil {
			t.Fatalf("again: %d bytes, %v", n, err)
		}
		if q := waiters(t, fd); q != (queue{0, pages}) {
			t.Fatalf("after fill %d %+v: somebody was woken", i, q)
		}
	}
	if err := b.Wake(); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]byte{0: 1, 1: 1, 2: 0, 4: 3} {
		if got := <-done[n]; got.err != nil || got.value != want {
			t.Errorf("page %d: %d, %v", n, got.value, got.err)
		}
	}
	// Page 3 lies in between, and was not filled: its thread was woken too, and asks again.
	if m := readFault(t, fd); m.Address() != pageRange(mem, 3).Start {
		t.Errorf("%v, want page 3 again", &m)
	}
	if err := b.Wake(); err != nil {
		t.Errorf("Wake of an empty batch: %v", err)
	}
	if _, err := fd.Zeropage(pageRange(mem, 3), 0); err != nil {
		t.Fatal(err)
	}
	if got := <-done[3]; got.err != nil {
		t.Error(got.err)
	}
}

// Minor faults, poison and the end of a protection go in batches too.
func TestBatchOfOtherFills(t *testing.T) {
	if !inChild(t) {
		return
	}
	fd := openKernelMode(t)
	b := fd.Batch()
	var done []<-chan touched
	if _, err := HaveRegister(MemoryMemfd, ModeMinor, 0); err != nil {
		leaveOut(t, "minor faults", err)
	} else {
		mem, alias := aliased(t, 1)
		alias[0] = 4
		register(t, fd, mem, ModeMinor)
		done = append(done, writeToPipe(t, mem))
		readFault(t, fd)
		if _, err := b.Continue(RangeOf(mem), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := HaveIoctl(IoctlPoison); err != nil {
		leaveOut(t, "poison", err)
	} else {
		mem := anonymous(t, 1)
		register(t, fd, mem, ModeMissing)
		poisoned := writeToPipe(t, mem)
		readFault(t, fd)
		if _, err := b.Poison(RangeOf(mem), 0); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if got := <-poisoned; got.err == nil {
				t.Error("a system call read from a poisoned page")
			}
		}()
	}
	if q := waiters(t, fd); q.total == 0 {
		t.Skip("this kernel has neither minor faults nor POISON")
	}
	if err := b.Wake(); err != nil {
		t.Fatal(err)
	}
	for _, c := range done {
		if got := <-c; got.err != nil || got.value != 4 {
			t.Errorf("%d, %v", got.value, got.err)
		}
	}
	if _, err := HaveRegister(MemoryAnonymous, ModeWP, 0); err != nil {
		leaveOut(t, "the end of a protection", err)
		return
	}
	mem := anonymous(t, 1)
	mem[0] = 1
	register(t, fd, mem, ModeWP)
	if err := fd.Protect(RangeOf(mem)); err != nil {
		t.Fatal(err)
	}
	written := make(chan bool)
	go func() { mem[0] = 2; close(written) }()
	readFault(t, fd)
	if err := b.Unprotect(RangeOf(mem)); err != nil {
		t.Fatal(err)
	}
	if err := b.Wake(); err != nil {
		t.Fatal(err)
	}
	<-written
}
