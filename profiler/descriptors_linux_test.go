//go:build linux && (amd64 || arm64)

package profiler

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// An application that closes or replaces descriptors that are not its own, as in a loop over all of
// them before it becomes a daemon, takes nothing from the engine: no page reads as zeros, nobody waits for ever, no
// fault is missed, and the engine closes nothing of the application's in its turn.
func TestForeignCloseOfDescriptors(t *testing.T) {
	aside(t)
	for _, c := range []struct {
		name string
		do   func(t *testing.T, fd int)
	}{
		{"closed", closeDescriptor},
		{"replaced", func(t *testing.T, fd int) {
			if err := unix.Dup3(int(devNull.Fd()), fd, unix.O_CLOEXEC); err != nil {
				t.Error(err)
			}
		}},
	} {
		inChildren(t, "TestForeignCloseOfDescriptors", c.name, []string{"GOGC=1"}, func(t *testing.T) {
			const pages = 1000
			early := openNumbers(t)
			p := newProfiler(t)
			notes := p.Snapshot().Stats.Notes
			regions := arm(t, p, pages)
			sweepDescriptors(t, early, regions, c.do)
			for _, a := range regions {
				a.spread(t, 8, hangMixed(p))
				a.checkContents(t)
				a.checkFaults(t, p.Snapshot())
			}
			// New regions and windows need the engine's descriptors too.
			regions = append(regions, arm(t, p, pages)...)
			sweepDescriptors(t, early, regions, c.do)
			closeBusy(t, regions[1].region.Rearm)
			for _, a := range regions[1:] {
				a.spread(t, 8, hangMixed(p))
				a.checkContents(t)
			}
			s := p.Snapshot()
			for _, a := range regions[2:] {
				a.checkFaults(t, s)
			}
			if n := s.Regions[regions[1].region.ID()].Faults; n != 2*pages || !slices.Equal(inTime(s.Stats.Notes), inTime(notes)) {
				t.Errorf("%d faults, want %d; notes %q", n, 2*pages, s.Stats.Notes)
			}
			before := openFiles(t)
			closeBusy(t, p.Close)
			if after := openFiles(t); !slices.Equal(before, after) {
				t.Errorf("closing the profiler changed the descriptors from %q to %q", before, after)
			}
			for _, a := range regions {
				a.checkContents(t)
			}
		})
	}
}

// The same while faults and looks at the mappings are under way.
func TestForeignCloseInAStorm(t *testing.T) {
	aside(t)
	inChildren(t, "TestForeignCloseInAStorm", "all", []string{"GOGC=1"}, func(t *testing.T) {
		const pages = 1000
		windows := testproc.Times(4, 20)
		early := openNumbers(t)
		p := newProfiler(t, WithRescan(time.Millisecond))
		notes := p.Snapshot().Stats.Notes
		regions := arm(t, p, pages)
		end := during(func(int) { sweepDescriptors(t, early, regions, closeDescriptor) })
		st := startStorm(t, regions[1])
		for range windows {
			st.pass()
			closeBusy(t, regions[1].region.Rearm)
		}
		st.pass()
		end()
		st.end(t)
		s := p.Snapshot()
		if n := s.Regions[regions[1].region.ID()].Faults; n != uint64(windows+1)*pages || s.Stats.ResolveErrs != 0 || !slices.Equal(inTime(s.Stats.Notes), inTime(notes)) {
			t.Errorf("%d faults, want %d; %d failed (%s), notes %q", n, (windows+1)*pages, s.Stats.ResolveErrs, s.Stats.LastError, s.Stats.Notes)
		}
	})
}

// inTime leaves out the note on threads that did not answer in time, which a busy machine explains.
func inTime(notes []string) []string {
	return slices.DeleteFunc(slices.Clone(notes), func(n string) bool { return strings.Contains(n, "did not answer within") })
}

// descriptorsMost is above every number that these tests use.
const descriptorsMost = 1024

// devNull is opened before the profiler, and so is the Go runtime's poller.
var devNull, _ = os.OpenFile(os.DevNull, os.O_RDWR, 0)

// openNumbers are the descriptors that are open before there is a profiler: the test's own, and those
// of the Go runtime's poller.
func openNumbers(t *testing.T) (numbers []int) {
	t.Helper()
	for fd := range descriptorsMost {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			numbers = append(numbers, fd)
		}
	}
	if !slices.Contains(numbers, int(devNull.Fd())) {
		t.Fatalf("descriptors %v: too many to be tested", numbers)
	}
	return numbers
}

func closeDescriptor(_ *testing.T, fd int) { unix.Close(fd) } // EBADF: most are not open

// sweepDescriptors does something to every number but those that were open early and the files of
// regions.
func sweepDescriptors(t *testing.T, early []int, regions []*armed, do func(t *testing.T, fd int)) {
	t.Helper()
	own := slices.Clone(early)
	for _, a := range regions {
		if a.file != nil {
			own = append(own, int(a.file.Fd()))
		}
	}
	for fd := range descriptorsMost {
		if !slices.Contains(own, fd) {
			do(t, fd)
		}
	}
}
