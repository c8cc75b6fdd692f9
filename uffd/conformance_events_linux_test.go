package uffd

import (
	"testing"

	"golang.org/x/sys/unix"
)

// conformEvents follows a child that touches half of its memory, moves it, touches the rest,
// discards it all and reads zeros: every step is a message, and none comes twice.
func conformEvents(t *testing.T, kind MemoryKind) {
	if err := mayFollowForks(); err != nil {
		t.Skip(err)
	}
	followChild(t, kind, ModeMissing)
	if _, err := HaveRegister(kind, ModeMissing|ModeWP, 0); err != nil {
		leaveOut(t, "with WP", err)
		return
	}
	followChild(t, kind, ModeMissing|ModeWP)
}

func followChild(t *testing.T, kind MemoryKind, mode RegisterMode) {
	t.Helper()
	a := newArea(t, kind, 4)
	to := a.hole(t)
	fd := a.open(t, WithFeatures(FeatureEventFork|FeatureEventRemap|FeatureEventRemove))
	register(t, fd, a.mem, mode)
	ofChild := make(chan served)
	stop := serve(t, fd, func(m *Msg) {
		if m.Event == EventFork {
			go serveChild(t, a, fd.Forked(m), mode, ofChild)
		}
	})
	write := mode&ModeWP != 0
	child := forkChild(t, childSteps(a, to, write)...)
	child.end(t)
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
	copyMode, value := uint64(0), byte(1)
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
				noErr(t, "unprotect", fd.WriteProtect(a.pageAt(m), 0))
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
	advice := unix.MADV_REMOVE
	if a.private() {
		advice = unix.MADV_DONTNEED
	}
	steps = append(steps, stepAdvise(Range{to, to + length}, advice))
	for at := Addr(0); at < length; at += size {
		steps = append(steps, stepLoad(to+at, 0))
	}
	return steps
}
