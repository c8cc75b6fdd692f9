//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A process without descriptors to spare cannot start a profiler, and is told so; one that runs out of
// them later does not notice; only to attach another file it needs some.
func TestOutOfDescriptors(t *testing.T) {
	inChild(t, "TestOutOfDescriptors", "all", nil, func(t *testing.T) {
		newProfiler(t).Close() // what the runtime opens once is open
		size := 300 * pageSize
		path := newFile(t, size)
		memory := mapFile(t, path, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		var hoard []int
		exhaust := func() {
			for {
				fd, err := unix.Dup(int(devNull.Fd()))
				if errors.Is(err, unix.EMFILE) {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				hoard = append(hoard, fd)
			}
		}
		release := func() {
			for _, fd := range hoard {
				unix.Close(fd)
			}
			hoard = nil
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 256, Max: 256}); err != nil {
			t.Fatal(err)
		}
		exhaust()
		p, refused := New(WithFailingSystemCalls())
		if refused == nil {
			p.Close()
			t.Error("a profiler started without descriptors")
		}
		if !errors.Is(refused, unix.EMFILE) {
			t.Errorf("%v, want EMFILE", refused)
		}
		release()
		open := openFiles(t)
		p = newProfiler(t)
		r, err := p.AttachFile(path)
		if err != nil {
			t.Fatal(err)
		}
		exhaust()
		a := &armed{region: r, memory: memory, want: contents(size)}
		a.spread(t, 8, hangMixedOf(hangLoad, hangCopy, hangCompare, hangClear))
		s := p.Snapshot()
		a.checkFaults(t, s)
		closeBusy(t, r.Rearm)
		a.spread(t, 8, hangCopy)
		closeBusy(t, p.Close)
		release()
		a.checkContents(t)
		if now := openFiles(t); len(now) > len(open) {
			t.Errorf("descriptors were %q and are %q", open, now)
		}
		t.Logf("seen: %v; later %d faults of a file, and another window, without one free descriptor", unix.EMFILE, s.Stats.Faults)
	})
}

// hangMixedOf takes turns in some ways of touching.
func hangMixedOf(ways ...func(a *armed, lo, hi int) error) func(a *armed, lo, hi int) error {
	return func(a *armed, lo, hi int) error { return ways[lo/pageSize/chunk%len(ways)](a, lo, hi) }
}

// When the application takes every mapping that the kernel allows it, what is armed can still be touched
// in any order, holds what it should, and granules that were opened with others are counted.
func TestOutOfMappings(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector ends a process that can have no more mappings")
	}
	inChild(t, "TestOutOfMappings", "all", nil, func(t *testing.T) {
		const pages = 3000
		p := newProfiler(t)
		regions := arm(t, p, pages)
		hoard := takeAllMappings(t)
		for _, a := range regions {
			order := rand.New(rand.NewPCG(1, 2)).Perm(pages)
			var wg sync.WaitGroup
			for g := range 4 {
				wg.Go(func() {
					for k := g; k < pages; k += 4 {
						lo := order[k] * pageSize
						if err := hangCompare(a, lo, lo+pageSize); err != nil {
							t.Errorf("%s, page %d: %v", a.region.Name(), order[k], err)
						}
					}
				})
			}
			wg.Wait()
		}
		s := p.Snapshot()
		for _, b := range hoard {
			if err := unix.Munmap(b); err != nil {
				t.Fatal(err)
			}
		}
		checkSums(t, s)
		regions[0].checkArena(t, s)
		file := s.Regions[regions[1].region.ID()]
		// By signal a file needs no mapping more, where the kernel has guard markers.
		if none := testDelivery() == DeliverySignal && haveGuards(t); (file.Widened == 0) != none || file.Faults+file.Widened != pages {
			t.Errorf("%d faults and %d widened granules of %d", file.Faults, file.Widened, pages)
		}
		for _, a := range regions {
			a.checkContents(t)
		}
		t.Logf("seen: %d faults of the file and %d granules opened with a neighbour make all %d; %d tries failed first",
			file.Faults, file.Widened, pages, s.Stats.ResolveErrs)
	})
}

// checkArena is checkFaults where resolves of other regions may have had to be tried again.
func (a *armed) checkArena(t *testing.T, s *Snapshot) {
	t.Helper()
	r := s.Regions[a.region.ID()]
	if n := uint64(len(a.memory) / pageSize); r.Faults != n || r.Touched != int64(len(a.memory)) {
		t.Errorf("%s: %d faults, %d bytes touched, want %d pages", r.Name, r.Faults, r.Touched, n)
	}
}

// In a control group that has too little memory for the file, its pages come and go while they are armed
// again and again.
func TestLittleMemory(t *testing.T) {
	aside(t)
	if raceEnabled {
		t.Skip("the race detector needs more memory than the control group has")
	}
	inChild(t, "TestLittleMemory", "all", []string{"GOGC=50"}, func(t *testing.T) {
		const pages, limit = 24 << 10, 64 << 20 // 96 MiB
		path := newFile(t, pages*pageSize)
		limitMemory(t, limit)
		p := newProfiler(t)
		memory := mapFile(t, path, pages*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		r, err := p.AttachFile(path)
		if err != nil {
			t.Fatal(err)
		}
		const windows = 3
		for w := range windows {
			var wg sync.WaitGroup
			for g := range 4 {
				wg.Go(func() {
					for i := g; i < pages; i += 4 {
						wordAt(t, memory, i*pageSize+8*w)
					}
				})
			}
			wg.Wait()
			if w < windows-1 {
				closeBusy(t, r.Rearm)
			}
		}
		s := p.Snapshot()
		checkSums(t, s)
		if got := s.Regions[r.ID()]; got.Faults != windows*pages || s.Stats.ResolveErrs != 0 {
			t.Errorf("%d faults, want %d; %d failed (%s)", got.Faults, windows*pages, s.Stats.ResolveErrs, s.Stats.LastError)
		}
		closeBusy(t, p.Close)
		t.Logf("seen: %d faults in %d windows of 96 MiB within 64 MiB, contents intact", s.Stats.Faults, windows)
	})
}

// When a control group has no memory left for an arena, the kernel kills the process, as it does
// unprofiled. It does not hang.
func TestNoMemory(t *testing.T) {
	inChild(t, "TestNoMemory", "all", nil, func(t *testing.T) {
		for _, profiled := range []bool{false, true} {
			name := fmt.Sprintf("profiled=%v", profiled)
			out, err := killedChild(t, "TestNoMemory", "no memory "+name, func(t *testing.T) {
				const size = 256 << 20
				limitMemory(t, 64<<20)
				b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
				if profiled {
					b = newArena(t, newProfiler(t), "arena", size).Bytes()
				} else if err != nil {
					t.Fatal(err)
				}
				fmt.Println("touching")
				for i := 0; i < size; i += pageSize {
					b[i] = 1
				}
				fmt.Println("touched")
			})
			if strings.Contains(out, "--- SKIP") {
				t.Skip(out)
			}
			if !strings.Contains(out, "touching") || err != "signal: killed" {
				t.Errorf("%s: %s, want it killed by the kernel\n%s", name, err, out)
			}
			if victims, err := filepath.Glob(groupName(t, "*")); err == nil {
				for _, v := range victims {
					os.Remove(v) // EBUSY: somebody else's
				}
			}
		}
		t.Log("seen: killed by the kernel, with the profiler as without")
	})
}

// limitMemory moves the process into a control group of its own, with so many bytes. The test's end
// moves it back.
func limitMemory(t *testing.T, bytes int) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can make a control group")
	}
	parent, limit, swap := memoryGroup(t)
	group := groupName(t, strconv.Itoa(os.Getpid()))
	// skipDenied skips for what a container may not have.
	skipDenied := func(what string, err error) {
		t.Helper()
		if err == nil {
			return
		}
		os.Remove(group)
		if denied(err) {
			t.Skipf("%s: %v", what, err)
		}
		t.Fatalf("%s: %v", what, err)
	}
	skipDenied("no control group can be made", os.Mkdir(group, 0o755))
	// EACCES too where the parent does not hand on its control of memory, so that there is no such file.
	skipDenied("the control group takes no limit on memory", os.WriteFile(filepath.Join(group, limit), []byte(strconv.Itoa(bytes)), 0o644))
	os.WriteFile(filepath.Join(group, swap), []byte("0"), 0o644) // not everywhere
	pid := []byte(strconv.Itoa(os.Getpid()))
	skipDenied("the control group does not take this process", os.WriteFile(filepath.Join(group, "cgroup.procs"), pid, 0o644))
	t.Cleanup(func() {
		if err := os.WriteFile(filepath.Join(parent, "cgroup.procs"), pid, 0o644); err != nil {
			t.Errorf("leave the control group: %v", err)
		}
		os.Remove(group)
	})
}

func groupName(t *testing.T, pid string) string {
	parent, _, _ := memoryGroup(t)
	return filepath.Join(parent, "firsttouch-test-"+pid)
}

// memoryGroup is the directory of the process's own control group for memory, and the names of its limits.
func memoryGroup(t *testing.T) (dir, limit, swap string) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/cgroup")
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("no control groups: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	dir = "none"
	for line := range bytes.Lines(text) {
		part := strings.SplitN(strings.TrimSpace(string(line)), ":", 3) // see cgroups(7)
		switch {
		case part[1] == "memory":
			return filepath.Join("/sys/fs/cgroup/memory", part[2]), "memory.limit_in_bytes", "memory.swappiness"
		case part[1] == "":
			dir = filepath.Join("/sys/fs/cgroup", part[2])
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "memory.max")); errors.Is(err, os.ErrNotExist) || denied(err) {
		t.Skipf("no control group for memory: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	return dir, "memory.max", "memory.swap.max"
}
