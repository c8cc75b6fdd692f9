package uffd

import (
	"testing"

	"golang.org/x/sys/unix"
)

// conformZeropage holds the length, the contents, and the answer to a second one.
func conformZeropage(t *testing.T, kind MemoryKind) {
	a := newArea(t, kind, 4)
	fd := a.open(t)
	register(t, fd, a.mem, ModeMissing)
	arg := zeropageArg{Range: toArg(a.rng()), Zeropage: 77}
	if a.huge() {
		if errno := fd.rawZeropage(&arg); errno != unix.EINVAL || arg.Zeropage != -int64(unix.EINVAL) {
			t.Errorf("huge pages: %v with %d, want EINVAL", errno, arg.Zeropage)
		}
		return
	}
	if errno := fd.rawZeropage(&arg); errno != 0 || arg.Zeropage != int64(len(a.mem)) {
		t.Fatalf("%v with %d, want %d bytes", errno, arg.Zeropage, len(a.mem))
	}
	for i, b := range a.mem {
		if b != 0 {
			t.Fatalf("byte %d is %d", i, b)
		}
	}
	if errno := fd.rawZeropage(&arg); errno != unix.EEXIST || arg.Zeropage != -int64(unix.EEXIST) {
		t.Errorf("again: %v with %d, want EEXIST in both", errno, arg.Zeropage)
	}
	if n, err := fd.Zeropage(a.rng(), 0); n != 0 || err != nil {
		t.Errorf("the finishing form: %d bytes, %v", n, err)
	}
}

// conformPoison poisons every second page: exactly those are errors, to loads and to system calls.
func conformPoison(t *testing.T, kind MemoryKind) {
	needs(t, FeaturePoison)
	a := newArea(t, kind, 6)
	fd := a.open(t)
	register(t, fd, a.mem, ModeMissing)
	for n := range a.pages() {
		var err error
		if n%2 == 0 {
			_, err = fd.Poison(a.pageRange(n), 0)
		} else {
			_, err = fd.Copy(a.pageRange(n).Start, a.pattern(byte(n)), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range a.pages() {
		p, poisoned := a.page(n), n%2 == 0
		var value byte
		if ok := comesThrough(func() { value = p[0] }); ok == poisoned || ok && int(value) != n {
			t.Errorf("page %d: a load came through: %v, with %d", n, ok, value)
		}
		if got := <-writeToPipe(t, p); (got.err != nil) != poisoned {
			t.Errorf("page %d: write(2): %v", n, got.err)
		}
	}
	arg := poisonArg{Range: toArg(a.pageRange(1))}
	if errno := fd.rawPoison(&arg); errno != unix.EEXIST || arg.Updated != -int64(unix.EEXIST) {
		t.Errorf("a page that is there: %v with %d", errno, arg.Updated)
	}
	if n, err := fd.TryRead(make([]Msg, 1)); n != 0 || err != nil {
		t.Errorf("%d messages, %v; a poisoned page sends none", n, err)
	}
}

// conformEventUnread holds the fills against an unread REMOVE, and its thread.
func conformEventUnread(t *testing.T, kind MemoryKind) {
	a := newArea(t, kind, 3)
	fd := a.open(t, WithFeatures(FeatureEventRemove), WithNonblock())
	register(t, fd, a.mem, ModeMissing)
	if _, err := fd.Copy(a.pageRange(0).Start, a.pattern(1), 0); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- unix.Madvise(a.page(0), unix.MADV_DONTNEED) }()
	waitUntil(func() bool { return len(done) == 1 || eventPending(t, fd) })
	if len(done) == 1 {
		// Linux before 5.18 does not drop huge pages in this way.
		t.Skipf("madvise(MADV_DONTNEED) of this memory: %v", <-done)
	}
	target, source := toArg(a.pageRange(1)), newArea(t, kind, 1)
	src := uint64(source.rng().Start)
	zero, cont, poison := zeropageArg{Range: target}, continueArg{Range: target}, poisonArg{Range: target}
	cp := copyArg{Dst: target.Start, Src: src, Len: target.Len}
	move := moveArg{Dst: target.Start, Src: src, Len: target.Len}
	fields := map[int64]bool{}
	for _, c := range []struct {
		name  string
		have  bool
		fill  func() unix.Errno
		field *int64
	}{
		{"COPY", true, func() unix.Errno { return fd.rawCopy(&cp) }, &cp.Copy},
		{"ZEROPAGE", true, func() unix.Errno { return fd.rawZeropage(&zero) }, &zero.Zeropage},
		{"CONTINUE", HaveIoctl(IoctlContinue) == nil, func() unix.Errno { return fd.rawContinue(&cont) }, &cont.Mapped},
		{"MOVE", fd.Features().Has(FeatureMove), func() unix.Errno { return fd.rawMove(&move) }, &move.Move},
		{"POISON", fd.Features().Has(FeaturePoison), func() unix.Errno { return fd.rawPoison(&poison) }, &poison.Updated},
	} {
		if !c.have {
			leaveOut(t, c.name, "this kernel does not have it")
			continue
		}
		if errno := c.fill(); errno != unix.EAGAIN {
			t.Errorf("%s: %v, want EAGAIN", c.name, errno)
		}
		fields[*c.field] = true
	}
	// The field: -EAGAIN, or on older kernels what it was before, which the raw forms make 0.
	if len(fields) != 1 || !fields[0] && !fields[-int64(unix.EAGAIN)] {
		t.Errorf("fields %v, want -EAGAIN in all", fields)
	}
	if _, err := fd.Copy(a.pageRange(1).Start, a.pattern(2), 0); !isErr(err, ErrAgain, unix.EAGAIN) {
		t.Errorf("the finishing form: %v", err)
	}
	if len(done) != 0 {
		t.Error("madvise returned before its event was read")
	}
	if m := readEvent(t, fd, EventRemove); m.Removed() != a.pageRange(0) {
		t.Errorf("%v, want %v", &m, a.pageRange(0))
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n, err := fd.Copy(a.pageRange(1).Start, a.pattern(2), 0); n != a.size || err != nil {
		t.Errorf("after reading: %d bytes, %v", n, err)
	}
}
