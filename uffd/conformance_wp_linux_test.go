package uffd

import (
	"testing"

	"golang.org/x/sys/unix"
)

// protected maps, fills and protects an area, and checks that it is protected.
func protected(t *testing.T, kind MemoryKind, pages int, features Features) (area, *FD) {
	t.Helper()
	return protect(t, filled(t, kind, pages), features)
}

// filled maps an area whose pages are all there.
func filled(t *testing.T, kind MemoryKind, pages int) area {
	t.Helper()
	a := newArea(t, kind, pages)
	for n := range pages {
		a.page(n)[0] = byte(n + 1)
	}
	return a
}

func protect(t *testing.T, a area, features Features) (area, *FD) {
	t.Helper()
	fd := a.open(t, WithFeatures(features))
	register(t, fd, a.mem, ModeWP)
	if err := fd.Protect(a.rng()); err != nil {
		t.Fatal(err)
	}
	if kernelBefore(5, 14) && !entry(t, a.rng().Start).WriteProtected() {
		t.Skip("this kernel's pagemap does not show write protection (Linux 5.14)")
	}
	wantProtected(t, "after protecting", a, true)
	return a, fd
}

func wantProtected(t *testing.T, when string, a area, want bool) {
	t.Helper()
	for n := range a.pages() {
		if got := entry(t, a.pageRange(n).Start); got.WriteProtected() != want {
			t.Errorf("%s: page %d protected: %v (entry %#x)", when, n, !want, uint64(got))
		}
	}
}

// conformWPFork: a child inherits the protection where the fork is followed, and not otherwise;
// of present pages, of pages that were discarded, of pinned ones.
func conformWPFork(t *testing.T, kind MemoryKind) {
	needsMode(t, kind, ModeWP)
	var ways []Features
	if err := mayFollowForks(); err != nil {
		leaveOut(t, "with EVENT_FORK", err)
	} else {
		ways = append(ways, FeatureEventFork)
	}
	for _, features := range append(ways, 0) {
		a, fd := protected(t, kind, 2, features)
		wantInChild(t, "present", fd, a, features != 0)
		// The marker of a page survives its discard in all but anonymous memory, which is kept by
		// nothing else, zap_install_uffd_wp_if_needed.
		if err := unix.Madvise(a.page(1), unix.MADV_DONTNEED); err != nil {
			leaveOut(t, "discarded pages", err)
		} else {
			kept := kind != MemoryAnonymous
			if got := entry(t, a.pageRange(1).Start).WriteProtected(); got != kept {
				t.Errorf("a discarded page protected: %v, want %v", got, kept)
			}
			discarded := a
			discarded.mem = a.page(1)
			wantInChild(t, "discarded", fd, discarded, features != 0 && kept)
		}
		if err := fd.Unprotect(a.rng()); err != nil {
			t.Fatal(err)
		}
		wantInChild(t, "unprotected", fd, a, false)
		if err := fd.Close(); err != nil {
			t.Fatal(err)
		}
		// Pinned first: a pin for writing would wait for the protection to end.
		a = filled(t, kind, 2)
		if err := pin(t, a.mem); err != nil {
			leaveOut(t, "pinned pages", err)
			continue
		}
		_, fd = protect(t, a, features)
		wantInChild(t, "pinned", fd, a, features != 0)
		if err := fd.Close(); err != nil { // or the next fork would wait for its reader
			t.Fatal(err)
		}
	}
}

// wantInChild forks, and looks at the child's pages from here.
func wantInChild(t *testing.T, when string, fd *FD, a area, want bool) {
	t.Helper()
	forks := make(chan *FD, 1)
	stop := serve(t, fd, func(m *Msg) {
		if m.Event == EventFork {
			forks <- takeForked(t, fd, m)
		}
	})
	child := forkChild(t, stepWait())
	for n := range a.pages() {
		got := entryOf(t, child.pid, a.pageRange(n).Start)
		if got.WriteProtected() != want && a.huge() && kernelBefore(6, 4) {
			leaveOut(t, when+" huge pages in a child", "a defect of the kernel, mended in Linux 6.4")
			break
		}
		if got.WriteProtected() != want {
			t.Errorf("%s page %d, in the child protected: %v, want %v (entry %#x)", when, n, !want, want, uint64(got))
		}
	}
	child.end(t)
	counts := stop()
	if fd.Enabled().Has(FeatureEventFork) {
		wantServed(t, counts, served{fork: 1})
		noErr(t, "close", (<-forks).Close())
	} else {
		wantServed(t, counts, served{})
	}
}

// conformWPUnpopulated protects pages that are not there.
func conformWPUnpopulated(t *testing.T, kind MemoryKind) {
	needsMode(t, kind, ModeWP)
	var features Features
	if kind == MemoryAnonymous { // other memory needs no feature
		features = FeatureWPUnpopulated
		needs(t, features)
	}
	a := newArea(t, kind, 2)
	fd := a.open(t, WithFeatures(features))
	register(t, fd, a.mem, ModeWP)
	set := func(call func(Range) error) {
		t.Helper()
		if err := call(a.rng()); err != nil {
			t.Fatal(err)
		}
	}
	wantProtected(t, "before", a, false)
	set(fd.Protect)
	wantProtected(t, "protected", a, true)
	set(fd.Unprotect)
	wantProtected(t, "unprotected", a, false)
	set(fd.Protect)
	if err := unix.Madvise(a.mem, unix.MADV_DONTNEED); err != nil {
		leaveOut(t, "discard", err)
	} else {
		wantProtected(t, "discarded", a, kind != MemoryAnonymous)
	}
	set(fd.Protect)
	// A read makes the page, and it is still protected; a write is a fault.
	if a.mem[0] != 0 {
		t.Error("a page that was not there does not read as zeros")
	}
	wantProtected(t, "read", a, true)
	stop := serve(t, fd, func(m *Msg) {
		at := m.Address().AlignDown(uintptr(a.size))
		noErr(t, "unprotect", fd.Unprotect(Range{at, at + Addr(a.size)}))
	})
	for n := range a.pages() {
		a.page(n)[0] = byte(n + 1)
	}
	wantServed(t, stop(), served{wp: a.pages()})
	if a.page(0)[0] != 1 || a.page(1)[0] != 2 {
		t.Error("a write was lost")
	}
}

// conformWPMremap: memory that is moved away without EVENT_REMAP loses its registration, so it must
// lose its protection too: nobody would answer for it.
func conformWPMremap(t *testing.T, kind MemoryKind) {
	needsMode(t, kind, ModeWP)
	a, fd := protected(t, kind, 4, 0)
	wantMoved(t, a, fd)
	if kind != MemoryAnonymous {
		return
	}
	huge := hugeSize()
	if huge == 0 {
		leaveOut(t, "transparent huge pages", "the kernel does not have them, or never uses them")
		return
	}
	a = aligned(t, huge)
	a.mem[0] = 1
	if HaveIoctl(IoctlPagemapScan) == nil && !isHuge(t, a.mem) {
		leaveOut(t, "transparent huge pages", "the kernel gave none")
		return
	}
	fd = openTest(t)
	register(t, fd, a.mem, ModeWP)
	if err := fd.Protect(a.rng()); err != nil {
		t.Fatal(err)
	}
	wantProtected(t, "a huge page", a, true)
	a.size = huge // so that it is moved whole
	wantMoved(t, a, fd)
}

func wantMoved(t *testing.T, a area, fd *FD) {
	t.Helper()
	moved := a
	moved.mem = remap(t, a)
	if entry(t, moved.rng().Start).WriteProtected() && kernelBefore(6, 13) {
		leaveOut(t, "protection after mremap", "it is left in place, a defect of the kernel, mended in Linux 6.13")
		return
	}
	wantProtected(t, "moved", moved, false)
	for n := range moved.pages() {
		moved.page(n)[0]++ // a fault would wait for ever, and the budget end it
	}
	if n, err := fd.TryRead(make([]Msg, 1)); n != 0 || err != nil {
		t.Errorf("%d messages, %v, want none", n, err)
	}
}
