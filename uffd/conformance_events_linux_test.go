package uffd

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// conformEvents follows a child that touches half of its memory, moves it, touches the rest,
// discards it all and reads zeros: every step is a message, and none comes twice.
func conformEvents(t *testing.T, kind MemoryKind) {
	if err := mayFollowForks(); err != nil {
		t.Skip(err)
	}
	if err := mayMoveAndDiscard(t, kind); err != nil {
		t.Skip(err)
	}
	followChild(t, kind, ModeMissing)
	if _, err := HaveRegister(kind, ModeMissing|ModeWP, 0); err != nil {
		leaveOut(t, "with WP", err)
		return
	}
	followChild(t, kind, ModeMissing|ModeWP)
}

// mayMoveAndDiscard reports why this kernel cannot do with a kind of memory what the child does with it.
func mayMoveAndDiscard(t *testing.T, kind MemoryKind) error {
	t.Helper()
	a := newArea(t, kind, 1)
	if err := unix.Madvise(a.mem, a.discard()); err != nil {
		return fmt.Errorf("%w: madvise of %v (huge pages: Linux 5.18): %w", ErrNotSupported, kind, err)
	}
	to := a.hole(t)
	if errno := rawRemap(a.rng(), to); errno != 0 {
		return fmt.Errorf("%w: mremap of %v (huge pages: Linux 5.16): %w", ErrNotSupported, kind, errno)
	}
	a.mem = bytesAt(Range{to, to + Addr(len(a.mem))})
	a.unmap(t)
	return nil
}

func followChild(t *testing.T, kind MemoryKind, mode RegisterMode) {
	t.Helper()
	a := newArea(t, kind, 4)
	to := a.hole(t)
	fd := a.open(t, WithFeatures(FeatureEventFork|FeatureEventRemap|FeatureEventRemove))
	register(t, fd, a.mem, mode)
	ofChild := make(chan served)
	forked := make(chan *FD, 1)
	stop := serve(t, fd, func(m *Msg) {
		if m.Event == EventFork {
			f := takeForked(t, fd, m)
			forked <- f
			go serveChild(t, a, f, mode, ofChild)
		}
	})
	write := mode&ModeWP != 0
	child := forkChild(t, childSteps(a, to, write)...)
	child.end(t)
	// Whoever ended well has been served: only the messages of one that did not are still waited for.
	if err := (<-forked).SetReadDeadline(time.Unix(1, 0)); err != nil && !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	counts := <-ofChild
	want := served{missing: a.pages() + a.pages(), remap: 1, remove: 1} // all pages, and the zeros again
	if write {
		want.wp = a.pages()
	}
	wantServed(t, counts, want)
	wantServed(t, stop(), served{fork: 1})
	if err := fd.Close(); err != nil {
		t.Fatal(err)
	}
	a.unmap(t)
}

// serveChild serves a child's memory, wherever it is, until the child is gone. Before the discard a
// page is a page of ones, protected where that is asked for, and after it of zeros.
func serveChild(t *testing.T, a area, fd *FD, mode RegisterMode, ended chan<- served) {
	copyMode, value := CopyMode(0), byte(1)
	if mode&ModeWP != 0 {
		copyMode = CopyModeWP
	}
	var s served
	msgs := make([]Msg, 4)
	for s.remove == 0 || s.missing < 2*a.pages() {
		n, err := fd.Read(msgs)
		if err != nil {
			t.Errorf("read of the child's messages: %v", err)
			break
		}
		for i := range msgs[:n] {
			m := &msgs[i]
			s.count(m)
			switch {
			case m.Event == EventRemove:
				copyMode, value = 0, 0
			case !m.IsPagefault():
			case m.Flags()&PagefaultFlagWP != 0:
				noErr(t, "unprotect", fd.Unprotect(a.pageAt(m)))
			default:
				// A thread whose page is filled may touch the next before this is counted.
				_, err := fd.Copy(a.pageAt(m).Start, a.pattern(value), copyMode)
				noErr(t, "copy", err)
			}
		}
	}
	noErr(t, "close", fd.Close())
	ended <- s
}

// pageAt is the page of a fault.
func (a area) pageAt(m *Msg) Range {
	at := m.Address().AlignDown(uintptr(a.size))
	return Range{at, at + Addr(a.size)}
}

// discard is the advice that leaves zeros.
func (a area) discard() int {
	if a.private() {
		return unix.MADV_DONTNEED
	}
	return unix.MADV_REMOVE
}

// childSteps is what the child does: half, move, the rest, discard, zeros.
func childSteps(a area, to Addr, write bool) (steps []step) {
	size, length, old := Addr(a.size), Addr(len(a.mem)), a.rng().Start
	touch := func(at Addr) {
		steps = append(steps, stepLoad(at, 1))
		if write {
			steps = append(steps, stepStore(at+1, 2))
		}
	}
	for at := Addr(0); at < length/2; at += size {
		touch(old + at)
	}
	steps = append(steps, stepRemap(a.rng(), to))
	for at := length / 2; at < length; at += size {
		touch(to + at)
	}
	steps = append(steps, stepAdvise(Range{to, to + length}, a.discard()))
	for at := Addr(0); at < length; at += size {
		steps = append(steps, stepLoad(to+at, 0))
	}
	return steps
}
