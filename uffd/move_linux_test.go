package uffd

import (
	"errors"
	"testing"
)

func TestMoveTakesThePagesAway(t *testing.T) {
	if err := HaveIoctl(IoctlMove); err != nil {
		t.Skip(err)
	}
	fd := openTest(t)
	mem, source := anonymous(t, 4), anonymous(t, 4)
	for n := range 4 {
		copy(page(source, n), pattern(byte(n+1), 1))
	}
	register(t, fd, mem, ModeMissing)
	if _, err := fd.Copy(pageRange(mem, 2).Start, pattern(9, 1), 0); err != nil {
		t.Fatal(err)
	}
	if n, err := fd.Move(RangeOf(mem).Start, RangeOf(source), 0); n != 3*PageSize() || err != nil {
		t.Fatalf("moved %d bytes, %v; want 3 pages", n, err)
	}
	checkPages(t, mem, 1, 2, 9, 4)
	checkPages(t, source, 0, 0, 3, 0) // the page that the target had already stays
}

func TestMoveOfAHole(t *testing.T) {
	if err := HaveIoctl(IoctlMove); err != nil {
		t.Skip(err)
	}
	fd := openTest(t)
	mem, source := anonymous(t, 3), anonymous(t, 3)
	source[0], page(source, 2)[0] = 1, 3
	register(t, fd, mem, ModeMissing)
	n, err := fd.Move(RangeOf(mem).Start, RangeOf(source), 0)
	refused, ok := errors.AsType[*Error](err)
	if n != PageSize() || !ok || !errors.Is(err, ErrNotRegistered) || refused.Done != uint64(PageSize()) {
		t.Fatalf("moved %d bytes, %v; want 1 page, then ErrNotRegistered", n, err)
	}
	rest := Range{pageRange(source, 1).Start, RangeOf(source).End}
	if n, err := fd.Move(pageRange(mem, 1).Start, rest, MoveModeAllowSrcHoles); n != 2*PageSize() || err != nil {
		t.Fatalf("with holes allowed: %d bytes, %v", n, err)
	}
	if err := fd.Unregister(RangeOf(mem)); err != nil { // the hole is a missing page still
		t.Fatal(err)
	}
	if mem[0] != 1 || page(mem, 1)[0] != 0 || page(mem, 2)[0] != 3 {
		t.Errorf("pages begin with %d, %d, %d; want 1, 0, 3", mem[0], page(mem, 1)[0], page(mem, 2)[0])
	}
}

// Register lists MOVE for shared memory too, but the kernel moves private anonymous pages only.
func TestMoveWantsAnonymousMemory(t *testing.T) {
	if err := HaveIoctl(IoctlMove); err != nil {
		t.Skip(err)
	}
	fd := openTest(t)
	mem, alias := aliased(t, 1)
	alias[0] = 1
	target := anonymous(t, 1)
	register(t, fd, target, ModeMissing)
	if _, err := fd.Move(RangeOf(target).Start, RangeOf(mem), 0); !errors.Is(err, ErrInvalid) {
		t.Errorf("from shared memory: %v", err)
	}
	shared, _ := aliased(t, 1)
	register(t, fd, shared, ModeMissing)
	source := anonymous(t, 1)
	source[0] = 1
	if _, err := fd.Move(RangeOf(shared).Start, RangeOf(source), 0); !errors.Is(err, ErrInvalid) {
		t.Errorf("to shared memory: %v", err)
	}
}
