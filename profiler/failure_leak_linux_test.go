//go:build linux && (amd64 || arm64)

package profiler

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// Profilers are started and closed one after the other: the threads of each are gone when Close
// returns, and neither descriptors nor mappings add up. The Go runtime maps memory of its own now and
// then; what the profiler left would be more in each cycle.
func TestCloseGivesEverythingBack(t *testing.T) {
	inChild(t, "TestCloseGivesEverythingBack", "all", nil, func(t *testing.T) {
		const warm, cycles = 3, 20
		size := 64 * pageSize
		path, other := newFile(t, size), newFile(t, size)
		memory := mapFile(t, path, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		want := contents(size)
		var descriptors []string
		even := 0
		for i := range warm + cycles {
			before := mappedBytes(t)
			oneLife(t, path, other, memory)
			if i := different(memory, want); i >= 0 {
				t.Errorf("byte %d is %d, want %d", i, memory[i], want[i])
			}
			if i < warm {
				descriptors = openFiles(t)
			} else if mappedBytes(t) == before {
				even++
			}
		}
		left := slices.DeleteFunc(openFiles(t), func(s string) bool { return slices.Contains(descriptors, s) })
		if len(left) > 0 {
			t.Errorf("descriptors that %d cycles left: %q", cycles, left)
		}
		if even < cycles/2 {
			t.Errorf("%d of %d cycles ended with as much memory mapped as they began", even, cycles)
		}
	})
}

// oneLife is that of a profiler with one region of each kind; memory is the mapping of path.
func oneLife(t *testing.T, path, other string, memory []byte) {
	t.Helper()
	before := threads(t)
	p := newProfiler(t)
	ours := ownThreads(t, before)
	arena := newArena(t, p, "arena", len(memory))
	mapped, err := p.MapFile(other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.AttachFile(path); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(memory); i += 2 * pageSize {
		arena.Bytes()[i] = 1
		if mapped.Bytes()[i] != memory[i] {
			t.Fatalf("byte %d is %d through one mapping and %d through the other", i, mapped.Bytes()[i], memory[i])
		}
	}
	if n, want := p.Snapshot().Stats.Faults, uint64(3*len(memory)/pageSize/2); n != want {
		t.Errorf("%d faults, want %d", n, want)
	}
	closeBusy(t, p.Close)
	for i := 0; i < len(memory); i += 2 * pageSize {
		if arena.Bytes()[i] != 1 || mapped.Bytes()[i] != memory[i] {
			t.Fatalf("byte %d changed when the profiler was closed", i)
		}
	}
	for _, r := range []*Region{arena, mapped} {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, tid := range threads(t) {
		if slices.Contains(ours, tid) {
			t.Errorf("thread %d of the engine is left", tid)
		}
	}
}

// ownThreads lists the engine's threads, ascending: those that were not there before and block all signals. A thread
// that Go starts does so too for a moment, so it looks until there are as many as the engine has.
func ownThreads(t *testing.T, before []int) (ours []int) {
	t.Helper()
	for deadline := time.Now().Add(testproc.Budget(20 * time.Second)); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		ours = slices.DeleteFunc(threads(t), func(tid int) bool { return slices.Contains(before, tid) || !blocksSignals(tid) })
		if len(ours) == engineThreads {
			slices.Sort(ours)
			return ours
		}
	}
	t.Fatalf("%d threads of the engine: want %d", len(ours), engineThreads)
	return nil
}

// threads lists the threads of this process.
func threads(t *testing.T) (tids []int) {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		tids = append(tids, tid)
	}
	return tids
}

// blocksSignals reports whether a thread blocks all signals, as only the engine's do while they run.
func blocksSignals(tid int) bool {
	_, blocks := engine.Blocks(tid, unix.SIGURG)
	return blocks
}

// openFiles lists what the descriptors of this process are, but for that of the listing.
func openFiles(t *testing.T) (files []string) {
	t.Helper()
	links, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if target, err := os.Readlink("/proc/self/fd/" + l.Name()); err == nil {
			files = append(files, l.Name()+" "+target)
		}
	}
	return files
}

// mappedBytes is how much memory this process has mapped, with or without pages.
func mappedBytes(t *testing.T) (n uintptr) {
	t.Helper()
	list, err := readMaps()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		n += m.hi - m.lo
	}
	return n
}
