package uffd

import (
	"testing"

	"golang.org/x/sys/unix"
)

// conformSigbus: with the feature a touch is a signal to its thread, and never a message. The
// handler fills the page, and the touch is repeated.
func conformSigbus(t *testing.T, kind MemoryKind) {
	needs(t, FeatureSigbus)
	sigbusFaults(t, kind, ModeMissing)
	if _, err := HaveRegister(kind, ModeMissing|ModeWP, 0); err != nil {
		leaveOut(t, "with WP", err)
	} else {
		sigbusFaults(t, kind, ModeMissing|ModeWP)
	}
	if err := mayFollowForks(); err != nil {
		leaveOut(t, "in a forked child", err)
		return
	}
	sigbusInChild(t, kind)
}

func sigbusFaults(t *testing.T, kind MemoryKind, mode RegisterMode) {
	t.Helper()
	a := newArea(t, kind, 4)
	fd := a.open(t, WithFeatures(FeatureSigbus))
	register(t, fd, a.mem, mode)
	copyMode, want := CopyMode(0), 1
	if mode&ModeWP != 0 {
		copyMode, want = CopyModeWP, 2
	}
	for n := range a.pages() {
		p, step := a.page(n), 0
		signals := touchSignals(func() { p[1] = byte(n) }, func() {
			step++
			var err error
			if step == 1 {
				_, err = fd.Copy(RangeOf(p).Start, a.pattern(8), copyMode)
			} else {
				err = fd.Unprotect(RangeOf(p))
			}
			noErr(t, "resolve", err)
		}, want+1)
		if signals != want || p[0] != 8 || p[1] != byte(n) {
			t.Errorf("%v, page %d: %d signals, want %d; it holds %d, %d", mode, n, signals, want, p[0], p[1])
		}
	}
	if n, err := fd.TryRead(make([]Msg, 1)); n != 0 || err != nil {
		t.Errorf("%v: %d messages, %v, want none", mode, n, err)
	}
	if err := fd.Close(); err != nil {
		t.Fatal(err)
	}
	a.unmap(t)
}

// sigbusInChild: children whose forks were followed have the same rule. Of four, the first finds its
// page filled by its descriptor, and the others die of their touch.
func sigbusInChild(t *testing.T, kind MemoryKind) {
	t.Helper()
	a := newArea(t, kind, 4)
	fd := a.open(t, WithFeatures(FeatureSigbus|FeatureEventFork))
	register(t, fd, a.mem, ModeMissing)
	forks := make(chan *FD, 1)
	stop := serve(t, fd, func(m *Msg) {
		if m.Event == EventFork {
			forks <- takeForked(t, fd, m)
		}
	})
	for n := range a.pages() {
		at := a.pageRange(n).Start
		child := forkChild(t, stepWait(), stepDie(unix.SIGBUS), stepLoad(at, 8), stepStore(at+1, 9))
		of := <-forks
		if n == 0 {
			if filled, err := of.Copy(at, a.pattern(8), 0); filled != a.size || err != nil {
				t.Errorf("copy: %d bytes, %v", filled, err)
			}
		}
		if status := child.wait(t); n == 0 && status != 0 || n != 0 && status.Signal() != unix.SIGBUS {
			t.Errorf("child %d ended with %#x", n, uint32(status))
		}
		if n, err := of.TryRead(make([]Msg, 1)); n != 0 || err != nil {
			t.Errorf("%d messages from the child, %v", n, err)
		}
		noErr(t, "close", of.Close())
	}
	wantServed(t, stop(), served{fork: a.pages()})
}
