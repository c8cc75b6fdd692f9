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
	a, words := newArea(t, kind, 4), sharedWords(t)
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
	child := forkChild(t, func(int) int { return childSteps(a, to, write, words) })
	status := child.end(t)
	counts := <-ofChild
	if status != 0 {
		t.Errorf("%v: the child stopped at step %d with %d", mode, status, words[0])
	}
	want := served{missing: a.pages() + a.pages(), remap: 1, remove: 1} // all pages, and the zeros again
	if write {
		want.wp = a.pages()
	}
	wantServed(t, counts, want)
	wantServed(t, stop(), served{fork: 1})
	if err := fd.Close(); err != nil {
		t.Fatal(err)
	}
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

// childSteps runs in the child, and returns the step that failed.
func childSteps(a area, to Addr, write bool, words []uint32) int {
	old, length := a.mem, Addr(len(a.mem))
	touch := func(from, end int) bool {
		for n := from; n < end; n++ {
			words[0] = uint32(a.page(n)[0])
			if words[0] != 1 {
				return false
			}
			if write {
				a.page(n)[1] = 2
			}
		}
		return true
	}
	if !touch(0, a.pages()/2) {
		return 1
	}
	if rawRemap(RangeOf(old), to) != 0 {
		return 2
	}
	a.mem = bytesAt(Range{to, to + length})
	if !touch(a.pages()/2, a.pages()) {
		return 3
	}
	advice := uintptr(unix.MADV_REMOVE)
	if a.private() {
		advice = unix.MADV_DONTNEED
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_MADVISE, uintptr(to), uintptr(length), advice); errno != 0 {
		words[0] = uint32(errno)
		return 4
	}
	for n := range a.pages() {
		if words[0] = uint32(a.page(n)[0]); words[0] != 0 {
			return 5
		}
	}
	return 0
}
