//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"errors"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// inArena runs body in a child, with an arena that holds contents and was armed with them.
func inArena(t *testing.T, top, name string, pages int, body func(t *testing.T, p *Profiler, a *Region, want []byte)) {
	t.Helper()
	inChild(t, top, name, []string{"GOGC=1"}, func(t *testing.T) {
		p := newProfiler(t)
		collecting(t)
		a := newArena(t, p, "arena", pages*pageSize)
		want := contents(pages * pageSize)
		copy(a.Bytes(), want)
		rearm(t, a)
		body(t, p, a, want)
		if i := different(a.Bytes(), want); i >= 0 {
			t.Errorf("byte %d is %d, want %d", i, a.Bytes()[i], want[i])
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if i := different(a.Bytes(), want); i >= 0 {
			t.Errorf("after closing: byte %d is %d, want %d", i, a.Bytes()[i], want[i])
		}
	})
}

// What the owner discards is zero afterwards and stays it, wherever the pages were; touching it again
// is a first touch.
func TestDiscardOfArmedMemory(t *testing.T) {
	const pages = 300
	inArena(t, "TestDiscardOfArmedMemory", "all", pages, func(t *testing.T, p *Profiler, a *Region, want []byte) {
		b := a.Bytes()
		// A third is in the old layer, a third in the young one, a third in place.
		for i := range 2 * pages / 3 {
			page(b, i)[0] = page(want, i)[0]
		}
		rearm(t, a)
		for i := range pages / 3 {
			page(b, i)[0] = page(want, i)[0]
		}
		before := p.Snapshot()
		for i := 0; i < pages; i += 2 {
			if err := unix.Madvise(page(b, i), unix.MADV_DONTNEED); err != nil {
				t.Fatal(err)
			}
			clear(page(want, i))
		}
		if i := different(b, want); i >= 0 {
			t.Fatalf("byte %d is %d, want %d", i, b[i], want[i])
		}
		s := p.Snapshot().Sub(before)
		// All were touched but those that were in place and were not discarded.
		if n := uint64(pages - pages/6); s.Stats.Faults != n {
			t.Errorf("%d faults, want %d", s.Stats.Faults, n)
		}
		for range 3 {
			rearm(t, a)
		}
	})
}

// Many threads discard and write while the memory is armed again and again: what was discarded does
// not come back.
func TestDiscardInAStorm(t *testing.T) {
	aside(t)
	const pages, goroutines, rounds = 512, 6, 30
	inArena(t, "TestDiscardInAStorm", "all", pages, func(t *testing.T, p *Profiler, a *Region, want []byte) {
		b := a.Bytes()
		var over atomic.Bool
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for n := 0; !over.Load(); n++ {
					for i := g; i < pages; i += goroutines {
						if got, w := page(b, i)[7], page(want, i)[7]; got != w {
							t.Errorf("page %d holds %d, want %d", i, got, w)
							over.Store(true)
							return
						}
						switch (n + i) % 3 {
						case 0:
							if err := unix.Madvise(page(b, i), unix.MADV_DONTNEED); err != nil {
								t.Error(err)
							}
							clear(page(want, i))
						case 1:
							page(b, i)[7]++
							page(want, i)[7]++
						}
					}
				}
			})
		}
		for range rounds {
			if err := a.Rearm(); err != nil && !errors.Is(err, ErrBusy) {
				t.Error(err)
			}
			time.Sleep(time.Millisecond)
		}
		over.Store(true)
		wg.Wait()
	})
}

// Memory that was made read-only after it was armed is read all the same, and what is written after
// that is seen too.
func TestProtectArmedMemory(t *testing.T) {
	const pages = 200
	inArena(t, "TestProtectArmedMemory", "all", pages, func(t *testing.T, p *Profiler, a *Region, want []byte) {
		b := a.Bytes()
		for round := range 3 {
			part := b[50*pageSize : 150*pageSize]
			if err := unix.Mprotect(part, unix.PROT_READ); err != nil {
				t.Fatal(err)
			}
			before := p.Snapshot()
			if i := different(b, want); i >= 0 {
				t.Fatalf("round %d: byte %d is %d, want %d", round, i, b[i], want[i])
			}
			if s := p.Snapshot().Sub(before); s.Stats.Faults != pages || s.Stats.ResolveErrs != 0 {
				t.Errorf("%d faults, want %d; %d failed: %s", s.Stats.Faults, pages, s.Stats.ResolveErrs, s.Stats.LastError)
			}
			rearm(t, a)
			if err := unix.Mprotect(part, unix.PROT_READ|unix.PROT_WRITE); err != nil {
				t.Fatal(err)
			}
			for i := range pages {
				page(b, i)[9]++
				page(want, i)[9]++
			}
			rearm(t, a)
		}
	})
}

// Memory that its owner locks while it is armed comes back and is not armed again until it is unlocked.
func TestLockArmedMemory(t *testing.T) {
	const pages = 64
	inArena(t, "TestLockArmedMemory", "all", pages, func(t *testing.T, p *Profiler, a *Region, want []byte) {
		b := a.Bytes()
		if err := unix.Mlock(b[:pages/2*pageSize]); err != nil {
			t.Skipf("memory cannot be locked here: %v", err)
		}
		if i := different(b, want); i >= 0 {
			t.Fatalf("byte %d is %d, want %d", i, b[i], want[i])
		}
		if err := a.Rearm(); !errors.Is(err, ErrNotSupported) {
			t.Errorf("armed again while locked: %v", err)
		}
		if err := unix.Munlock(b[:pages/2*pageSize]); err != nil {
			t.Fatal(err)
		}
		rearm(t, a)
	})
}

// Children, with shared memory and without, do not disturb the windows, nor those them: they fork and execute. What they
// execute has none of the memory, so that it could not look at it.
func TestRearmWhileForking(t *testing.T) {
	const pages = 1024
	inArena(t, "TestRearmWhileForking", "all", pages, func(t *testing.T, p *Profiler, a *Region, want []byte) {
		apart := &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS}
		if err := runTrue(apart); err != nil {
			t.Logf("only children that share memory: %v", err)
			apart = nil
		}
		var over atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			for n := 0; !over.Load(); n++ {
				c := exec.Command("true")
				if n%2 == 0 {
					c.SysProcAttr = apart
				}
				if err := c.Run(); err != nil {
					t.Error(err)
				}
			}
		})
		for range testproc.Times(8, 25) {
			before := p.Snapshot()
			if !bytes.Equal(a.Bytes(), want) {
				t.Error("wrong contents")
			}
			if s := p.Snapshot().Sub(before); s.Stats.Faults != pages || s.Stats.ResolveErrs != 0 {
				t.Errorf("%d faults, want %d; %d failed: %s", s.Stats.Faults, pages, s.Stats.ResolveErrs, s.Stats.LastError)
			}
			rearm(t, a)
		}
		over.Store(true)
		wg.Wait()
	})
}

// Wider granules come back whole, also where some of their pages hold nothing.
func TestRearmWideGranules(t *testing.T) {
	inChild(t, "TestRearmWideGranules", "all", nil, func(t *testing.T) {
		const pages, wide = 1000, 16
		p := newProfiler(t)
		a := newArena(t, p, "arena", pages*pageSize, WithRegionGranule(wide*pageSize))
		want := contents(pages * pageSize)
		copy(a.Bytes(), want)
		for i := 0; i < pages; i += 3 {
			clear(page(want, i))
			if err := unix.Madvise(page(a.Bytes(), i), unix.MADV_DONTNEED); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 {
			rearm(t, a)
			before := p.Snapshot()
			if i := different(a.Bytes(), want); i >= 0 {
				t.Fatalf("byte %d is %d, want %d", i, a.Bytes()[i], want[i])
			}
			if s := p.Snapshot().Sub(before); s.Stats.Faults != (pages+wide-1)/wide {
				t.Errorf("%d faults", s.Stats.Faults)
			}
		}
	})
}
