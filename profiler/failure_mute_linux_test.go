//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/calls"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// muteCases are what a filter refuses that is installed while memory is armed, so that nobody can be woken any more.
var muteCases = []struct {
	name    string
	refuses func(c calls.Call) bool
}{
	{"UFFDIO_WAKE", func(c calls.Call) bool { return strings.Contains(c.Name, "UFFDIO_WAKE") }},
	{"ioctl", func(c calls.Call) bool { return c.System() == "ioctl" }},
	{"ioctl and the signal", func(c calls.Call) bool { return c.System() == "ioctl" || c.System() == "rt_tgsigqueueinfo" }},
	{"ioctl and mremap", func(c calls.Call) bool { return c.System() == "ioctl" || c.System() == "mremap" }},
	{"all but mremap", func(c calls.Call) bool { return c.System() != "mremap" && !goMakes(c) }},
	{"all", func(c calls.Call) bool { return !goMakes(c) }},
}

// goMakes reports whether Go and the C library need a call for a new thread: they would end the process.
func goMakes(c calls.Call) bool { return c.System() == "clone" || c.System() == "mprotect" }

func (c *core) close(t *testing.T, i int) {
	t.Helper()
	closeBusy(t, c.regions[i].region.Close)
	c.regions = slices.Delete(c.regions, i, i+1)
}

// A filter that is installed later and refuses ioctl(2) altogether leaves nobody to answer a fault, or to wake who waits.
// Everything becomes plain memory then: whoever waits in it goes on, in a system call too, and sees what there was.
func TestNobodyCanBeWoken(t *testing.T) {
	aside(t)
	for _, m := range muteCases {
		for _, e := range refusedErrnos {
			inChildren(t, "TestNobodyCanBeWoken", m.name+", "+e.name, nil, func(t *testing.T) {
				p := newProfiler(t)
				list := slices.DeleteFunc(calls.List(), func(c calls.Call) bool { return !m.refuses(c) })
				var c core
				c.attach(t, p)
				for i := len(c.regions) - 1; i >= 0; i-- {
					a := c.regions[i]
					for n := range corePages { // so that both layers hold some of what is armed with its contents
						switch {
						case n%3 == 0:
							if i := different(page(a.memory, n), page(a.want, n)); i >= 0 {
								t.Errorf("page %d: byte %d", n, i)
							}
						case n == corePages/2:
							rearm(t, a.region)
						}
					}
					if slices.ContainsFunc(list, func(c calls.Call) bool { return c.System() == "mremap" }) && (a.region.Name() == "private" || a.region.Name() == "arena") {
						c.close(t, i) // armed with its contents, it cannot be brought back: see SECURITY.md
					}
				}
				if len(c.errs) > 0 {
					t.Fatal(c.errs)
				}
				fresh := newArena(t, p, "fresh", corePages*pageSize)
				c.regions = append(c.regions, &armed{region: fresh, memory: fresh.Bytes(), want: make([]byte, corePages*pageSize)})
				kernel := p.config.delivery == DeliveryThread && !p.Snapshot().Stats.UserModeOnly
				refuseAll(t, list, e.errno)
				if m.name == "UFFDIO_WAKE" && p.config.delivery == DeliverySignal {
					c.checkContents(t, "armed") // nobody waits in the kernel
					leave(t)
				}
				muted(t, p, &c, kernel)
				leave(t)
			})
		}
	}
}

// muted touches everything from many threads, and checks what it sees and what is left.
func muted(t *testing.T, p *Profiler, c *core, kernel bool) {
	t.Helper()
	var wg sync.WaitGroup
	for _, a := range c.regions {
		for g := range 4 {
			wg.Go(func() {
				for n := g; n < corePages; n += 4 {
					lo, hi := n*pageSize, (n+1)*pageSize
					if kernel && n%8 < 4 {
						got := make([]byte, pageSize)
						var pipe [2]int
						must(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
						if k, err := unix.Write(pipe[1], a.memory[lo:hi]); k != pageSize || err != nil {
							t.Errorf("%s: a write of page %d: %d, %v", a.region.Name(), n, k, err)
						}
						if _, err := unix.Read(pipe[0], got); err != nil || !bytes.Equal(got, a.want[lo:hi]) {
							t.Errorf("%s: a write of page %d wrote something else (%v)", a.region.Name(), n, err)
						}
						unix.Close(pipe[0])
						unix.Close(pipe[1])
					} else if i := different(a.memory[lo:hi], a.want[lo:hi]); i >= 0 {
						t.Errorf("%s: page %d: byte %d is %d", a.region.Name(), n, i, a.memory[lo+i])
					}
				}
			})
		}
	}
	wg.Wait()
	c.checkContents(t, "afterwards")
	for _, a := range c.regions {
		if a.region.kind != KindMappedFile {
			clear(a.memory)
			clear(a.want)
		}
	}
	c.checkContents(t, "written")
	s := p.Snapshot()
	for !notesSay(s, "ioctl(UFFDIO_", "plain memory again", "SECURITY.md") { // who was woken may be faster
		time.Sleep(time.Millisecond)
		s = p.Snapshot()
	}
	if b := p.Health().Broken; b == nil || !strings.Contains(b.Error(), "ioctl(UFFDIO_") {
		t.Errorf("health: %v", b)
	}
	if _, err := p.NewArena("later", pageSize); !errors.Is(err, ErrNotSupported) || !strings.Contains(err.Error(), "ioctl(UFFDIO_") {
		t.Errorf("an arena: %v", err)
	}
	if list := registeredMappings(t); len(list) != 0 {
		t.Errorf("registered still: %q", list)
	}
	for _, a := range c.regions {
		if a.region.kind == KindArena || a.region.kind == KindMappedFile {
			continue // its memory goes with it
		}
		if err := a.region.Close(); err != nil {
			t.Errorf("close %s: %v", a.region.Name(), err)
		}
		a.checkContents(t)
	}
	if err := p.Close(); err != nil && !strings.Contains(err.Error(), "exit is refused") && !strings.Contains(err.Error(), "unmap") {
		t.Errorf("close: %v", err)
	}
	t.Logf("seen: %d faults, everything is plain memory, contents intact", s.Stats.Faults)
}

// registeredMappings lists what any userfaultfd has.
func registeredMappings(t *testing.T) (list []string) {
	t.Helper()
	must(t, eachSmap(func(m *smap) bool {
		if m.has("um") || m.has("uw") || m.has("ui") {
			list = append(list, m.flags)
		}
		return true
	}))
	return list
}

// So it does while a thread blocks all signals, and cannot be parked, and in the Go heap.
func TestNobodyCanBeWokenAtBadTimes(t *testing.T) {
	refused := slices.DeleteFunc(calls.List(), func(c calls.Call) bool { return c.System() != "ioctl" })
	inChildren(t, "TestNobodyCanBeWokenAtBadTimes", "a thread blocks all signals", nil, func(t *testing.T) {
		p := newProfiler(t)
		var c core
		c.attach(t, p)
		var stop atomic.Bool
		ready := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			var all unix.Sigset_t
			for i := range all.Val {
				all.Val[i] = ^all.Val[i]
			}
			if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil); err != nil {
				t.Error(err)
			}
			close(ready)
			for !stop.Load() { // in a system call as a rule: Go cannot preempt it
				unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil)
			}
		}()
		<-ready
		refuseAll(t, refused, unix.EPERM)
		muted(t, p, &c, false)
		stop.Store(true)
		leave(t)
	})
	// The other threads can seldom be stopped then, and one that writes while its page comes home may lose that: SECURITY.md.
	if testproc.Long() {
		inChild(t, "TestNobodyCanBeWokenAtBadTimes", "the Go heap is armed", []string{"GOGC=20"}, func(t *testing.T) {
			const nodes = 1 << 18
			keep := heapList(nodes)
			p := newProfiler(t)
			r := attachHeap(t, p, WithHeapShare(1))
			for range 2 {
				if !walkHeap(keep, nodes/8) && keep == nil {
					t.Error("the list has ended")
				}
				rearm(t, r)
			}
			collecting(t)
			refuseAll(t, refused, unix.EPERM)
			for range 3 {
				if !walkHeap(keep, nodes) {
					t.Fatal("the heap does not hold what it did")
				}
				runtime.GC()
			}
			if list := registeredMappings(t); len(list) != 0 {
				t.Errorf("registered still: %q", list)
			}
			closeBusy(t, p.Close)
			debug.FreeOSMemory()
			if !walkHeap(keep, nodes) {
				t.Error("the heap does not hold what it did")
			}
			t.Logf("seen: %d faults", p.Snapshot().Stats.Faults)
		})
	}
	// While mremap is refused too and a file has no path any more, its contents cannot be had: who touches it waits, and
	// the profile says so.
	// By signal mremap has no part in a file: TestAccessTaken refuses what gives its access back.
	inChild(t, "TestNobodyCanBeWokenAtBadTimes", "a file without a path, and no mremap", []string{testproc.DeliveryEnv + "=" + DeliveryThread.String()}, func(t *testing.T) {
		p := newProfiler(t)
		path := newFile(t, pageSize)
		memory := mapFile(t, path, pageSize, unix.PROT_READ, unix.MAP_SHARED)
		_, err := attached(func() (*Region, error) { return p.AttachFile(path) })
		must(t, err)
		must(t, os.Remove(path))
		refuseAll(t, slices.DeleteFunc(calls.List(), func(c calls.Call) bool { return c.System() != "ioctl" && c.System() != "mremap" }), unix.EPERM)
		var touched atomic.Int64
		go func() {
			b := memory[1]
			touched.Store(int64(b) + 1)
		}()
		for !notesSay(p.Snapshot(), "ioctl(UFFDIO_", "waits", "SECURITY.md") || !notesSay(p.Snapshot(), "a thread waits", "mremap") {
			time.Sleep(time.Millisecond)
		}
		if b := touched.Load(); b != 0 {
			t.Errorf("a page that cannot be had holds %d", b-1)
		}
		t.Logf("seen: %q", p.Snapshot().Stats.Notes)
		leave(t)
	})
}
