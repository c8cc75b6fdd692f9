package uffd

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// conformRWP holds read-write protection: of a page that must not even be read. Its numbers are those
// of the kernel's own tests of it.
func conformRWP(t *testing.T, kind MemoryKind) {
	needs(t, FeatureRWP)
	for _, c := range []struct {
		name  string
		needs Features
		run   func(t *testing.T, kind MemoryKind)
	}{
		{"sync", 0, rwpSync},
		{"async", FeatureRWPAsync, rwpAsync},
		{"mprotect", FeatureRWPAsync, rwpMprotect},
		{"toggle", FeatureRWPAsync, rwpToggle},
		{"close", 0, rwpClose},
		{"fork", FeatureEventFork, rwpFork},
		{"exclusive", FeaturePagefaultFlagWP, rwpExclusive},
	} {
		fd, err := Open(WithFeatures(FeatureRWP | c.needs))
		if errors.Is(err, ErrNotSupported) || errors.Is(err, ErrPermission) {
			leaveOut(t, c.name, err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		noErr(t, "close", fd.Close())
		c.run(t, kind)
	}
}

// rwProtected is a filled area that may be neither read nor written.
func rwProtected(t *testing.T, kind MemoryKind, features Features) (area, *FD) {
	t.Helper()
	a := filled(t, kind, 4)
	fd := a.open(t, WithFeatures(FeatureRWP|features))
	if ioctls := register(t, fd, a.mem, ModeRWP); !ioctls.Has(IoctlRWProtect) {
		t.Errorf("the range takes %v, without RWPROTECT", ioctls)
	}
	if err := fd.RWProtect(a.rng()); err != nil {
		t.Fatal(err)
	}
	wantProtected(t, "read-write-protected", a, true)
	return a, fd
}

// wantFilled reads the pages from first on.
func wantFilled(t *testing.T, a area, first int) {
	t.Helper()
	for n := first; n < a.pages(); n++ {
		if got := a.page(n)[0]; got != byte(n+1) {
			t.Errorf("page %d holds %d", n, got)
		}
	}
}

// unprotector resolves the faults of an area.
func unprotector(t *testing.T, a area, fd *FD) func(*Msg) {
	return func(m *Msg) { noErr(t, "unprotect", fd.RWUnprotect(a.pageAt(m))) }
}

func rwpSync(t *testing.T, kind MemoryKind) {
	a, fd := rwProtected(t, kind, 0)
	defer a.unmap(t)
	stop := serve(t, fd, unprotector(t, a, fd))
	wantFilled(t, a, 0)
	wantServed(t, stop(), served{rwp: a.pages()})
}

func rwpAsync(t *testing.T, kind MemoryKind) {
	a, fd := rwProtected(t, kind, FeatureRWPAsync)
	defer a.unmap(t)
	wantFilled(t, a, 2)
	// The pages that nobody touched.
	s := scanner{t, a, openPagemap(t)}
	cold := ScanQuery{All: PageIsAccessed, Inverted: PageIsAccessed, Return: PageIsAccessed}
	s.want("not accessed", 0, a.pages(), cold, span{0, 2, 0})
	if n, err := fd.TryRead(make([]Msg, 1)); n != 0 || err != nil {
		t.Errorf("%d messages, %v, want none", n, err)
	}
}

func rwpMprotect(t *testing.T, kind MemoryKind) {
	a, _ := rwProtected(t, kind, FeatureRWPAsync)
	defer a.unmap(t)
	for _, prot := range []int{unix.PROT_NONE, unix.PROT_READ | unix.PROT_WRITE} {
		if err := unix.Mprotect(a.mem, prot); err != nil {
			t.Fatal(err)
		}
	}
	wantProtected(t, "after mprotect", a, true)
	wantFilled(t, a, 0)
	wantProtected(t, "after mprotect and a touch", a, false)
}

func rwpToggle(t *testing.T, kind MemoryKind) {
	a, fd := rwProtected(t, kind, FeatureRWPAsync)
	defer a.unmap(t)
	wantFilled(t, a, 2)
	if err := fd.SetMode(0, FeatureRWPAsync); err != nil {
		t.Fatal(err)
	}
	stop := serve(t, fd, unprotector(t, a, fd))
	wantFilled(t, a, 0)
	wantServed(t, stop(), served{rwp: 2})
	if err := fd.SetMode(FeatureRWPAsync, 0); err != nil {
		t.Fatal(err)
	}
	noErr(t, "protect", fd.RWProtect(a.rng()))
	wantFilled(t, a, 0)
	if err := fd.SetMode(FeatureRWPAsync, FeatureRWPAsync); !isErr(err, ErrInvalid, unix.EINVAL) {
		t.Errorf("on and off at once: %v", err)
	}
}

func rwpClose(t *testing.T, kind MemoryKind) {
	a, fd := rwProtected(t, kind, 0)
	defer a.unmap(t)
	if err := fd.Close(); err != nil {
		t.Fatal(err)
	}
	wantFilled(t, a, 0)
}

func rwpFork(t *testing.T, kind MemoryKind) {
	a, fd := rwProtected(t, kind, FeatureEventFork)
	defer a.unmap(t)
	wantInChild(t, "read-write-protected", fd, a, true)
	noErr(t, "unprotect", fd.RWUnprotect(a.rng()))
}

func rwpExclusive(t *testing.T, kind MemoryKind) {
	a := newArea(t, kind, 1)
	fd := a.open(t, WithFeatures(FeatureRWP))
	if _, err := fd.Register(a.rng(), ModeWP|ModeRWP); !isErr(err, ErrInvalid, unix.EINVAL) {
		t.Errorf("WP and RWP at once: %v", err)
	}
}
