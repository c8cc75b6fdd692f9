package uffd

import (
	"testing"

	"golang.org/x/sys/unix"
)

// conformMinor: a page that the file has, and this mapping does not, is one minor fault and no
// missing one; the reader changes it in place first.
func conformMinor(t *testing.T, kind MemoryKind) {
	if kind == MemoryAnonymous {
		fd := openTest(t)
		if _, err := fd.Register(newArea(t, kind, 1).rng(), ModeMinor); !isErr(err, ErrInvalid, unix.EINVAL) {
			t.Errorf("Register: %v, want EINVAL: there is no file", err)
		}
		return
	}
	needsMode(t, kind, ModeMinor)
	minorFaults(t, newArea(t, kind, 4), ModeMinor, 0)
	if _, err := HaveRegister(kind, ModeMinor|ModeWP, 0); err != nil || !continueTakesWP(t, kind) {
		leaveOut(t, "with WP", "the kernel does not have both, or CONTINUE does not protect")
	} else {
		minorFaults(t, newArea(t, kind, 4), ModeMinor|ModeWP, ContinueModeWP)
	}
	if kind == MemoryMemfd {
		minorCollapse(t)
	}
}

// continueTakesWP asks the kernel by a use: CONTINUE_MODE_WP came with Linux 6.4.
func continueTakesWP(t *testing.T, kind MemoryKind) bool {
	t.Helper()
	a := newArea(t, kind, 1)
	a.alias[0] = 1
	fd := a.open(t)
	register(t, fd, a.mem, ModeMinor|ModeWP)
	_, err := fd.Continue(a.rng(), ContinueModeWP)
	return err == nil
}

func minorFaults(t *testing.T, a area, mode RegisterMode, continueMode ContinueMode) *FD {
	t.Helper()
	for n := range a.pages() {
		a.alias[n*a.size], a.alias[n*a.size+1] = byte(n), 7
	}
	fd := a.open(t)
	register(t, fd, a.mem, mode|ModeMissing)
	stop := serve(t, fd, func(m *Msg) {
		page := a.pageAt(m)
		if m.Flags()&PagefaultFlagWP != 0 {
			noErr(t, "unprotect", fd.Unprotect(page))
			return
		}
		a.alias[page.Start-a.rng().Start] += 100
		n, err := fd.Continue(page, continueMode)
		if n != a.size || err != nil {
			t.Errorf("Continue: %d bytes, %v", n, err)
		}
	})
	want := served{minor: a.pages()}
	for n := range a.pages() {
		p := a.page(n)
		if p[0] != byte(n)+100 || p[1] != 7 {
			t.Errorf("page %d holds %d, %d; want %d, 7", n, p[0], p[1], n+100)
		}
		p[2] = 9
	}
	if continueMode&ContinueModeWP != 0 {
		want.wp = a.pages()
	}
	wantServed(t, stop(), want)
	for n := range a.pages() {
		// A write to a private mapping stays there.
		if shared := a.alias[n*a.size+2] == 9; a.page(n)[2] != 9 || shared == a.private() {
			t.Errorf("page %d: the write is in the mapping: %v, in the file: %v", n, a.page(n)[2] == 9, shared)
		}
	}
	return fd
}

// minorCollapse makes a huge page out of pages that minor faults have mapped.
func minorCollapse(t *testing.T) {
	huge := hugeSize()
	if huge == 0 {
		leaveOut(t, "collapse", "no transparent huge pages here")
		return
	}
	a := newArea(t, MemoryMemfd, 3*huge/PageSize())
	skip := int((a.rng().Start + Addr(huge) - 1).AlignDown(uintptr(huge)) - a.rng().Start)
	// Both mappings have to begin alike in the file and in memory for one huge page to serve them.
	if skip != 0 {
		file := memfd(t, false, huge)
		defer unix.Close(file)
		at := a.rng().Start + Addr(skip)
		for _, start := range []Addr{at, at + Addr(huge)} {
			if errno := rawMapFixed(start, huge, file); errno != 0 {
				t.Fatal(errno)
			}
		}
		a.mem, a.alias = bytesAt(Range{at, at + Addr(huge)}), bytesAt(Range{at + Addr(huge), at + Addr(2*huge)})
	}
	fd := minorFaults(t, a, ModeMinor, 0)
	const madvCollapse = 25 // MADV_COLLAPSE, Linux 6.1
	if err := unix.Madvise(a.alias[:huge], madvCollapse); err != nil {
		leaveOut(t, "collapse", err)
		return
	}
	if err := HaveIoctl(IoctlPagemapScan); err != nil {
		leaveOut(t, "that the collapse made a huge page", err)
	} else if !isHuge(t, a.alias[:huge]) {
		t.Error("the file's mapping is not of huge pages after the collapse")
	}
	// The collapse took the small pages out of the registered mapping, so that a touch is a minor
	// fault again. One Continue maps one small page, or all that the huge page has.
	stop := serve(t, fd, func(m *Msg) {
		_, err := fd.Continue(a.pageAt(m), 0)
		noErr(t, "Continue", err)
	})
	for n := 0; n < huge/PageSize(); n++ {
		if p := a.page(n); p[0] != byte(n)+100 || p[2] != 9 {
			t.Errorf("page %d holds %d, %d after the collapse", n, p[0], p[2])
			break
		}
	}
	counts := stop()
	t.Logf("after the collapse: %+v", counts)
	if counts.missing != 0 {
		t.Errorf("after the collapse %d pages were missing", counts.missing)
	}
}
