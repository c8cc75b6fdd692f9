//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// standing are threads of the engine that a debugger holds. They are named by the order in which they start: the
// keeper, the follower, the surgeon, the clerk, the watchdog and the disk threads.
var standing = []struct {
	name    string
	threads []int
	noted   bool // the watchdog has to do something
}{
	{"keeper", []int{0}, true},
	{"follower", []int{1}, false}, // the keeper takes over
	{"keeper and follower", []int{0, 1}, true},
	{"disk threads", []int{5, 6, 7, 8, 9, 10, 11, 12}, false}, // who touches a file waits for the disk itself,
	{"watchdog", []int{4}, false},
}

const threadsEnv = "FIRSTTOUCH_TEST_THREADS"

// Threads of the engine are stopped, one after the other, in the middle of a storm, and stay so until every page
// was touched of an arena, of a file that has to come from the disk, of private memory whose pages lie aside, of
// shared memory and of memory of which writes alone are observed. Whoever waited goes on all the
// same, the profile says what happened, and when the threads go on nothing was counted twice.
func TestStandingThreads(t *testing.T) {
	aside(t)
	const top = "TestStandingThreads"
	for _, c := range standing {
		inChild(t, top, c.name, nil, func(t *testing.T) {
			if pid := victim(); pid != 0 {
				holdThreads(t)
				return
			}
			const pages = 600
			unix.Prctl(unix.PR_SET_PTRACER, ^uintptr(0), 0, 0, 0) // EINVAL without the Yama module
			before := threads(t)
			p := newProfiler(t)
			ours := ownThreads(t, before)
			arena := newArena(t, p, "arena", pages*pageSize)
			regions := []*armed{{region: arena, memory: arena.Bytes(), want: make([]byte, pages*pageSize)}, coldFile(t, p, pages)}
			regions = append(regions, armKinds(t, p, pages)...)
			touch := func(a *armed) func(a *armed, lo, hi int) error {
				if a.region.Name() == "writes" {
					return hangClear
				}
				return hangCompare
			}
			total := uint64(len(regions) * pages)
			var held []string
			for _, i := range c.threads {
				held = append(held, strconv.Itoa(ours[i]))
			}
			t.Setenv(threadsEnv, strings.Join(held, " "))
			stop := make(chan struct{})
			part := func(a *armed, lo, hi int) *armed {
				return &armed{a.region, a.memory[lo*pageSize : hi*pageSize], a.want[lo*pageSize : hi*pageSize], nil}
			}
			go func() { // some are caught at work
				for i := 0; i < pages/2; i += chunk {
					for _, a := range regions {
						part(a, i, min(i+chunk, pages/2)).spread(t, 1, touch(a))
					}
					time.Sleep(testproc.Budget(5 * time.Millisecond))
				}
				close(stop)
			}()
			release := disturb(t, top)
			for _, a := range regions {
				part(a, pages/2, pages).spread(t, 8, touch(a))
			}
			<-stop
			s := p.Snapshot()
			noted := slices.ContainsFunc(s.Stats.Notes, func(n string) bool { return strings.Contains(n, "stood still") })
			if c.noted && !noted {
				t.Errorf("notes %q do not tell", s.Stats.Notes)
			}
			// On a busy machine any thread may stand still, for want of a processor.
			if h := p.Health(); (h.Broken != nil) != noted {
				t.Errorf("health %v, and noted: %v", h.Broken, noted)
			}
			release()
			for deadline := time.Now().Add(testproc.Budget(10 * time.Second)); p.Snapshot().Stats.Records < total && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			s = p.Snapshot()
			checkSums(t, s)
			for _, a := range regions {
				a.checkFaults(t, s)
				a.checkContents(t)
			}
			for _, a := range regions {
				closeBusy(t, a.region.Rearm)
				a.spread(t, 4, touch(a))
				if n := p.Snapshot().Regions[a.region.ID()].Faults; n != 2*pages {
					t.Errorf("%s: %d faults after another window, want %d", a.region.Name(), n, 2*pages)
				}
			}
			closeBusy(t, p.Close)
			for _, a := range regions {
				a.checkContents(t)
			}
			disk := s.Regions[regions[1].region.ID()].Disk.Count
			t.Logf("seen: %d of %d faults, %d from the disk, with it stopped, contents intact; noted: %v", s.Stats.Faults, total, disk, noted)
		})
	}
}

// coldFile attaches a file that is not in the page cache, and is not read ahead.
func coldFile(t *testing.T, p *Profiler, pages int) *armed {
	t.Helper()
	path := newFile(t, pages*pageSize)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	b := mapFile(t, path, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	if err := unix.Madvise(b, unix.MADV_RANDOM); err != nil {
		t.Fatal(err)
	}
	r, err := p.AttachFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBusy(t, r.Close) }) // before the mapping goes
	return &armed{region: r, memory: b, want: contents(pages * pageSize)}
}

// holdThreads stops threads until its standard input ends.
func holdThreads(t *testing.T) {
	runtime.LockOSThread() // a tracer is a thread
	over := untilEOF()
	var held []int
	for _, f := range strings.Fields(os.Getenv(threadsEnv)) {
		tid, _ := strconv.Atoi(f)
		seize(t, tid)
		if _, ok := hold(tid); !ok {
			t.Fatalf("thread %d was not stopped", tid)
		}
		held = append(held, tid)
	}
	fmt.Println("ready")
	<-over
	for _, tid := range held {
		unix.PtraceDetach(tid)
	}
	fmt.Printf("held %d threads\n", len(held))
}
