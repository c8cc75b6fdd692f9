//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// Looking at the mappings while granules are restored must not take a piece that is being restored
// for one that its owner unmapped.
func TestRescansWhileFaultsArrive(t *testing.T) {
	const pages, rounds, goroutines = 4096, 5, 4
	p := newProfiler(t, WithRescan(time.Millisecond))
	path := newFile(t, pages*pageSize)
	b := mapFile(t, path, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	r := attach(t, p, path)
	rnd := rand.New(rand.NewPCG(12, 13))
	for round := range rounds {
		shuffled := rnd.Perm(pages)
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for k := g; k < pages; k += goroutines {
					wordAt(t, b, shuffled[k]*pageSize)
				}
			})
		}
		wg.Wait()
		s := p.Snapshot()
		checkSums(t, s)
		got := s.Regions[r.ID()]
		if got.Faults != uint64(round+1)*pages || got.Mapped != pages*int64(pageSize) || len(got.Mappings) != 1 {
			t.Fatalf("%d faults, want %d; %d bytes in %d mappings", got.Faults, (round+1)*pages, got.Mapped, len(got.Mappings))
		}
		if got.Widened != 0 {
			t.Fatalf("%d granules were widened, with %d mappings at most", got.Widened, pages)
		}
		if err := r.Rearm(); err != nil {
			t.Fatal(err)
		}
	}
}

// Close waits for a look at the mappings that is under way, and that look for nothing that Close has.
func TestCloseWhileRescanning(t *testing.T) {
	const env = "FIRSTTOUCH_TEST_CLOSE"
	if os.Getenv(env) == "" {
		testproc.Run(t, t.Name(), []string{env + "=1"}, 2*time.Minute)
		return
	}
	path := newFile(t, pageSize)
	for range 50 {
		p := newProfiler(t, WithRescan(time.Millisecond))
		var wg sync.WaitGroup
		var over atomic.Bool
		for range 2 { // so that everybody has to wait for the others
			wg.Go(func() {
				for !over.Load() {
					if _, err := p.AttachFile(path); !errors.Is(err, ErrNotMapped) && !errors.Is(err, ErrClosed) {
						t.Errorf("attach: %v", err)
					}
				}
			})
		}
		time.Sleep(3 * time.Millisecond) // into the looks
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		over.Store(true)
		wg.Wait()
	}
}

// A goroutine that Go preempts at the very instruction that faults has its own stack and number, or
// none where the thread had gone on to something else; never somebody else's.
func TestStacksUnderPreemption(t *testing.T) {
	pages := testproc.Times(1500, 6000)
	p := newProfiler(t)
	a := newArena(t, p, "arena", pages*pageSize)
	w := newToucher(t)
	var over atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !over.Load() {
			runtime.GC()
		}
	}()
	var all []made
	for i := range pages {
		all = append(all, w.touch(t, order{&ways[i%3], a, a.Bytes(), i * pageSize, i*pageSize + 8}))
	}
	over.Store(true)
	<-done
	s := p.Snapshot()
	checkSums(t, s)
	if len(s.Faults) != pages {
		t.Fatalf("%d faults, want %d", len(s.Faults), pages)
	}
	missed := uint64(0)
	for i := range all {
		m, f := &all[i], &s.Faults[i]
		if f.Address != addressOf(m.memory)+uintptr(m.lo) || !m.madeBy(f) {
			t.Errorf("fault %d: %+v, but was made by %+v", i, *f, *m)
		}
		if f.Stack == 0 {
			missed++
		} else {
			m.checkStack(t, s.Frames(f.Stack))
		}
	}
	if missed > uint64(pages/10) || s.Stats.StacksMissed != missed || s.Stats.Stacks != uint64(pages)-missed {
		t.Errorf("%d stacks missed; %+v", missed, s.Stats)
	}
}
