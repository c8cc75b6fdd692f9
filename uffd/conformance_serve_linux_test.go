package uffd

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// served counts the messages that a reader got.
type served struct{ missing, minor, wp, rwp, fork, remap, remove, unmap int }

func (s *served) count(m *Msg) {
	switch flags := m.Flags(); {
	case m.Event == EventFork:
		s.fork++
	case m.Event == EventRemap:
		s.remap++
	case m.Event == EventRemove:
		s.remove++
	case m.Event == EventUnmap:
		s.unmap++
	case flags&PagefaultFlagWP != 0:
		s.wp++
	case flags&PagefaultFlagMinor != 0:
		s.minor++
	case flags&PagefaultFlagRWP != 0:
		s.rwp++
	default:
		s.missing++
	}
}

// serve reads messages and hands each to handle, in a goroutine, until the function that it returns
// is called, which answers with the counts. A message that was sent before then is still served.
func serve(t *testing.T, fd *FD, handle func(m *Msg)) (stop func() served) {
	t.Helper()
	if err := fd.SetReadDeadline(time.Time{}); err != nil { // that of an earlier reader
		t.Fatal(err)
	}
	ended := make(chan served)
	go func() {
		var s served
		msgs := make([]Msg, 16)
		for {
			n, err := fd.Read(msgs)
			for i := range msgs[:n] {
				s.count(&msgs[i])
				handle(&msgs[i])
			}
			if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ErrClosed) {
				break
			}
			if err != nil {
				t.Errorf("read: %v", err)
				break
			}
		}
		n, err := fd.TryRead(msgs)
		if err != nil && !errors.Is(err, ErrClosed) {
			t.Errorf("read: %v", err)
		}
		for i := range msgs[:n] {
			s.count(&msgs[i])
			handle(&msgs[i])
		}
		ended <- s
	}()
	return func() served {
		t.Helper()
		if err := fd.SetReadDeadline(time.Unix(1, 0)); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		return <-ended
	}
}

// wantServed compares counts.
func wantServed(t *testing.T, got, want served) {
	t.Helper()
	if got != want {
		t.Errorf("messages %+v, want %+v", got, want)
	}
}

// noErr fails the test, not the goroutine.
func noErr(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// touchSignals calls touch again until it comes through, and returns how often it met a SIGBUS, with
// fix called in between. More than limit signals are too many.
func touchSignals(touch func(), fix func(), limit int) (signals int) {
	for signals < limit && !comesThrough(touch) {
		signals++
		fix()
	}
	return signals
}

// comesThrough calls touch and reports whether it met no SIGBUS.
func comesThrough(touch func()) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if err, isErr := r.(error); !isErr || !strings.Contains(err.Error(), "invalid memory address") {
				panic(r)
			}
		}
	}()
	touch()
	return true
}

// needs skips a test that needs features which the kernel lacks.
func needs(t *testing.T, features Features) {
	t.Helper()
	if err := HaveFeatures(features); err != nil {
		t.Skip(err)
	}
}

// needsMode skips a test that needs modes which Register does not take for the kind.
func needsMode(t *testing.T, kind MemoryKind, mode RegisterMode) {
	t.Helper()
	if _, err := HaveRegister(kind, mode, 0); err != nil {
		t.Skip(err)
	}
}

// entry is the pagemap entry of a page of this process.
func entry(t *testing.T, a Addr) PagemapEntry {
	t.Helper()
	return entryOf(t, 0, a)
}

// entryOf is entry for another process.
func entryOf(t *testing.T, pid int, a Addr) PagemapEntry {
	t.Helper()
	p, err := OpenPagemap(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var e [1]PagemapEntry
	if err := p.Entries(a, e[:]); err != nil {
		t.Fatal(err)
	}
	return e[0]
}

// kernelBefore tells a known defect of older kernels from a new one. What a kernel can do is never
// asked in this way.
func kernelBefore(major, minor int) bool {
	var has, hasMinor int
	n, _ := fmt.Sscanf(kernelRelease(), "%d.%d", &has, &hasMinor)
	return n == 2 && (has < major || has == major && hasMinor < minor)
}
