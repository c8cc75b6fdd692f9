//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// Where nobody may ask whose a piece of memory is, in neither way, each touch of a wide granule brings its own page
// back; what would have to be known for the rest (arming again, giving back) fails, says what is refused, and leaves
// the memory served.
func TestRefusedProbes(t *testing.T) {
	inChild(t, "TestRefusedProbes", "all", nil, func(t *testing.T) {
		const pages = 400
		p := newProfiler(t, WithGranule(4*pageSize))
		file := arm(t, p, pages)[1]
		private := armKinds(t, p, pages)
		refuseIoctl(t, uffd.IoctlContinue, unix.EPERM)
		refuseIoctl(t, uffd.IoctlCopy, unix.EPERM)
		for i := 0; i < pages; i += 2 * chunk {
			must(t, hangMixedOf(hangLoad, hangCompare, hangClear)(file, i*pageSize, (i+chunk)*pageSize))
		}
		// An arena's new pages for writing need COPY, so the others are only read.
		for _, a := range private {
			a.spread(t, 4, hangCompare)
		}
		for i, f := range []func() error{file.region.Rearm, file.region.Close} {
			switch err := f(); {
			case testDelivery() == DeliverySignal: // which does without
				must(t, err)
			case err == nil || !strings.Contains(err.Error(), "UFFDIO_CONTINUE"):
				t.Errorf("rearm, close: number %d says %v, want what is refused", i, err)
			}
		}
		for _, a := range private {
			if err := a.region.Rearm(); err != nil && !strings.Contains(err.Error(), "UFFDIO_CONTINUE") {
				t.Errorf("arm %s again: %v, want what is refused", a.region.Name(), err)
			}
			a.spread(t, 4, hangCompare)
			a.checkContents(t)
		}
		file.spread(t, 8, hangCompare)
		file.checkContents(t)
		t.Logf("seen: %d faults, contents intact", p.Snapshot().Stats.Faults)
		leave(t)
	})
}

// While mremap is refused, a file that has no path any more cannot be had: who touches it waits, sees no
// zeros, and the profile says what it waits for. Who touches something else goes on.
func TestRefusedRemapWithoutAPath(t *testing.T) {
	aside(t)
	for _, gone := range []string{"unlinked", "replaced"} {
		inChild(t, "TestRefusedRemapWithoutAPath", gone, nil, func(t *testing.T) {
			const pages = 64
			size := pages * pageSize
			path := newFile(t, size)
			memory := mapFile(t, path, size, unix.PROT_READ, unix.MAP_SHARED)
			p := newProfiler(t)
			if _, err := p.AttachFile(path); err != nil {
				t.Fatal(err)
			}
			other := arm(t, p, pages)[1]
			must(t, os.Remove(path))
			if gone == "replaced" {
				must(t, os.WriteFile(path, make([]byte, size), 0o600))
			}
			refuseCall(t, unix.SYS_MREMAP, 0, unix.EPERM) // the engine duplicates with old length 0
			var touched atomic.Int64
			go func() {
				b := memory[5*pageSize+1] // a load, at which it can be stopped
				touched.Store(int64(b) + 1)
			}()
			other.spread(t, 4, hangCompare)
			other.checkContents(t)
			says := func(s *Snapshot) bool {
				return strings.Contains(s.Stats.LastError, "a thread waits") && strings.Contains(s.Stats.LastError, "mremap") &&
					slices.Contains(s.Stats.Notes, s.Stats.LastError)
			}
			if testDelivery() == DeliverySignal { // which does without mremap
				for touched.Load() == 0 {
					time.Sleep(time.Millisecond)
				}
				if b := touched.Load() - 1; b != int64(contents(size)[5*pageSize+1]) {
					t.Errorf("a page holds %d", b)
				}
				leave(t)
			}
			for !says(p.Snapshot()) {
				time.Sleep(time.Millisecond)
			}
			if b := touched.Load(); b != 0 {
				t.Errorf("a page that cannot be had holds %d", b-1)
			}
			t.Logf("seen: %s", p.Snapshot().Stats.LastError)
			leave(t)
		})
	}
}

// While mremap is refused a file is mapped anew by its path, in wider granules. Record locks stay, what is written
// meanwhile is in the file, and the region can be given back.
func TestRefusedRemapKeepsTheFile(t *testing.T) {
	aside(t)
	inChildren(t, "TestRefusedRemapKeepsTheFile", "all", []string{"GOGC=1"}, func(t *testing.T) {
		const pages = 3000
		p := newProfiler(t)
		collecting(t)
		file := arm(t, p, pages)[1]
		if err := unix.FcntlFlock(file.file.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Len: 10}); err != nil {
			t.Fatal(err)
		}
		refuseWhere(t, unix.SYS_MREMAP, anyArgument, 0, unix.EPERM)
		order := rand.New(rand.NewPCG(1, 2)).Perm(pages)
		for _, i := range order[:10] {
			must(t, hangCompare(file, i*pageSize, (i+1)*pageSize))
		}
		st := startStorm(t, file)
		st.pass()
		st.end(t)
		s := p.Snapshot()
		got := s.Regions[file.region.ID()]
		bySignal := testDelivery() == DeliverySignal // which does without mremap
		if (got.Widened == 0) != bySignal || got.Faults+got.Widened != pages {
			t.Errorf("%d faults and %d widened granules of %d", got.Faults, got.Widened, pages)
		}
		if n := len(mappingsOf(t, file)); n > 64 && !bySignal {
			t.Errorf("the file is in %d mappings", n)
		}
		closeBusy(t, p.Close)
		file.checkContents(t)
		for i, m := range mappingsOf(t, file) {
			if !m.shared || m.inode == 0 {
				t.Errorf("mapping %d afterwards: %+v", i, m)
			}
		}
		if !recordLocked(t, file.file) {
			t.Error("the process's record lock is lost")
		}
		t.Logf("seen: %d faults and %d granules opened with a neighbour make all %d, contents intact, record lock kept", got.Faults, got.Widened, pages)
	})
}

// When the application also takes the mappings that the engine has kept in reserve, a file is still served.
func TestOutOfMappingsForGood(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector ends a process that can have no more mappings")
	}
	inChild(t, "TestOutOfMappingsForGood", "all", nil, func(t *testing.T) {
		const pages = 3000
		p := newProfiler(t, WithRescan(time.Hour)) // a list of all these mappings needs memory, and so a mapping
		file := arm(t, p, pages)[1]
		hoard := takeAllMappings(t)
		order := rand.New(rand.NewPCG(1, 2)).Perm(pages)
		for k, i := range order {
			if err := hangCompare(file, i*pageSize, (i+1)*pageSize); err != nil {
				t.Fatalf("page %d: %v", i, err)
			}
			if k == 0 {
				hoard = append(hoard, takeAllMappings(t)...)
			}
		}
		s := p.Snapshot()
		for _, b := range hoard {
			must(t, unix.Munmap(b))
		}
		checkSums(t, s)
		got := s.Regions[file.region.ID()]
		if got.Faults+got.Widened != pages {
			t.Errorf("%d faults and %d widened granules of %d", got.Faults, got.Widened, pages)
		}
		// By signal a mapping is opened as a whole, for which none has to be to spare.
		if testDelivery() == DeliveryThread && !slices.ContainsFunc(s.Stats.Notes, func(n string) bool { return strings.Contains(n, "mapped anew") }) {
			t.Errorf("nothing was mapped anew: %q", s.Stats.Notes)
		}
		file.checkContents(t)
		t.Logf("seen: %d faults of the file and %d granules opened with a neighbour make all %d; said %q", got.Faults, got.Widened, pages, s.Stats.Notes)
	})
}

// recordLocked reports whether a process holds a record lock on a file: a line such as
// "1: POSIX  ADVISORY  WRITE 1234 fe:01:5678 0 9".
func recordLocked(t *testing.T, f *os.File) bool {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Fstat(int(f.Fd()), &st))
	text, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Skipf("no list of file locks here: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, fmt.Sprintf(" %d ", os.Getpid())) && strings.Contains(line, fmt.Sprintf(":%d ", st.Ino)) {
			return strings.Contains(line, "POSIX")
		}
	}
	return false
}

// takeAllMappings maps memory in pieces that do not merge, two mappings each, until the kernel allows no more.
func takeAllMappings(t *testing.T) (hoard [][]byte) {
	t.Helper()
	for len(hoard) < 10000 {
		b, err := unix.Mmap(-1, 0, 4096*pageSize, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
		if errors.Is(err, unix.ENOMEM) {
			return hoard
		}
		if err != nil {
			t.Fatal(err)
		}
		hoard = append(hoard, b)
		for i := 0; i < len(b); i += 2 * pageSize {
			err := unix.Mprotect(b[i:i+pageSize], unix.PROT_NONE)
			if errors.Is(err, unix.ENOMEM) {
				return hoard
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Skip("this system knows no limit on mappings that can be reached")
	return nil
}
