//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// caseEnv names the case that a child runs.
const caseEnv = "FIRSTTOUCH_TEST_CASE"

// hangBudget bounds a hang and says nothing about speed: a case takes a second or two.
const hangBudget = 90 * time.Second

// inChild runs body for the case called name in a process of its own, with env, beside the other cases of the test, and
// reports what became of it. In that process, started by the same call, it runs body.
func inChild(t *testing.T, top, name string, env []string, body func(t *testing.T)) {
	t.Helper()
	if os.Getenv(caseEnv) != "" {
		if os.Getenv(caseEnv) == name {
			fmt.Println(testproc.CaseMark(name))
			body(t)
		}
		return
	}
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		runChild(t, top, name, env)
	})
}

// aside runs a test beside others: one that only starts children, and waits for them most of the time.
func aside(t *testing.T) {
	t.Helper()
	if os.Getenv(caseEnv) == "" { // in a child there is nothing else
		t.Parallel()
	}
}

// runChild runs the test called top in a process of its own, which runs one case of it.
func runChild(t *testing.T, top, name string, env []string) {
	t.Helper()
	// The race detector lingers for a second at the end of a process unless told not to.
	env = append([]string{caseEnv + "=" + name, "GORACE=atexit_sleep_ms=0 halt_on_error=1"}, env...)
	out := testproc.Run(t, top, env, hangBudget)
	if !strings.Contains(out, testproc.CaseMark(name)+"\n") {
		t.Errorf("the child did not run case %q:\n%s", name, out)
	}
	if testing.Verbose() {
		t.Log(out)
	}
}

// inChildren is inChild with each delivery.
func inChildren(t *testing.T, top, name string, env []string, body func(t *testing.T)) {
	t.Helper()
	inChild(t, top, name, append([]string{testproc.DeliveryEnv + "=" + DeliveryThread.String()}, env...), body)
	inChild(t, top, name+" by signal", append([]string{testproc.DeliveryEnv + "=" + DeliverySignal.String()}, env...), body)
}

// armed is a region, its memory, and what that holds.
type armed struct {
	region *Region
	memory []byte
	want   []byte
	file   *os.File // nil for an arena
}

// arm makes an arena, and a file that the test maps as a library would: writable, shared, and
// without a guard.
func arm(t *testing.T, p *Profiler, pages int) []*armed {
	t.Helper()
	size := pages * pageSize
	n := len(p.Snapshot().Regions)
	arena := newArena(t, p, fmt.Sprintf("arena %d", n), size)
	path := newFile(t, size)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	memory := mapFile(t, path, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	file, err := attached(func() (*Region, error) { return p.AttachFile(path, WithName(fmt.Sprintf("file %d", n))) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeBusy(t, file.Close) }) // before the mapping goes
	return []*armed{
		{region: arena, memory: arena.Bytes(), want: make([]byte, size)},
		{region: file, memory: memory, want: contents(size), file: f},
	}
}

// closeBusy gives memory back where threads that fork, end or wait for a disk delay it.
func closeBusy(t *testing.T, give func() error) {
	t.Helper()
	if err := patiently(give); err != nil {
		t.Errorf("give the memory back: %v", err)
	}
}

// chunk is how many pages a goroutine touches at a time.
const chunk = 8

// spread has goroutines touch all of the memory, each its own chunks.
func (a *armed) spread(t *testing.T, goroutines int, touch func(a *armed, lo, hi int) error) {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for {
				lo := int(next.Add(chunk)-chunk) * pageSize
				if lo >= len(a.memory) {
					return
				}
				hi := min(lo+chunk*pageSize, len(a.memory))
				if err := touch(a, lo, hi); err != nil {
					t.Errorf("%s, pages from %d: %v", a.region.Name(), lo/pageSize, err)
				}
			}
		})
	}
	wg.Wait()
}

// checkContents reads everything, also through the file.
func (a *armed) checkContents(t *testing.T) {
	t.Helper()
	if i := different(a.memory, a.want); i >= 0 {
		t.Errorf("%s: byte %d is %d, want %d", a.region.Name(), i, a.memory[i], a.want[i])
	}
	if a.file == nil {
		return
	}
	got := make([]byte, len(a.want))
	if _, err := a.file.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	if i := different(got, a.want); i >= 0 {
		t.Errorf("%s: byte %d in the file is %d, want %d", a.region.Name(), i, got[i], a.want[i])
	}
}

func different(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

// checkFaults wants every granule of the region to have faulted once.
func (a *armed) checkFaults(t *testing.T, s *Snapshot) {
	t.Helper()
	r := s.Regions[a.region.ID()]
	if n := uint64(len(a.memory) / pageSize); r.Faults != n || r.Touched != int64(len(a.memory)) {
		t.Errorf("%s: %d faults, %d bytes touched, want %d pages", r.Name, r.Faults, r.Touched, n)
	}
	if s.Stats.ResolveErrs != 0 || s.Stats.Dropped != 0 {
		t.Errorf("%d resolves failed (%s), %d records dropped", s.Stats.ResolveErrs, s.Stats.LastError, s.Stats.Dropped)
	}
}

// collecting forces garbage collections, of a heap that changes, until the test ends, and counts
// them.
func collecting(t *testing.T) *atomic.Int64 {
	t.Helper()
	var n atomic.Int64
	var end atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for ; !end.Load(); n.Add(1) {
			runtime.GC()
		}
	})
	wg.Go(func() {
		var kept [64][]byte
		for i := 0; !end.Load(); i++ {
			kept[i%len(kept)] = fmt.Appendf(nil, "%0*d", 4<<10, i)
		}
	})
	t.Cleanup(func() {
		end.Store(true)
		wg.Wait()
	})
	return &n
}

// duringCollections has f touch new regions of pages pages while garbage is collected, until that
// happened several times, and checks what the regions hold and what the profiler saw.
func duringCollections(t *testing.T, p *Profiler, pages int, f func(a *armed)) {
	t.Helper()
	collected, rounds := collecting(t), 0
	for ; rounds == 0 || collected.Load() < 4; rounds++ {
		regions := arm(t, p, pages)
		for _, a := range regions {
			f(a)
		}
		s := p.Snapshot()
		for _, a := range regions {
			a.checkFaults(t, s)
			a.checkContents(t)
		}
	}
	s := p.Snapshot()
	t.Logf("seen: %d faults from %d messages, each page of %d arenas and %d files once, contents intact, during %d collections",
		s.Stats.Faults, s.Stats.Messages, rounds, rounds, collected.Load())
}
