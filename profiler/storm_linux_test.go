//go:build linux && (amd64 || arm64)

package profiler

import (
	"sync"
	"testing"
	"time"
)

// touchAll has goroutines touch every page of memory once, each its own share.
func touchAll(memory []byte, goroutines int) {
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := g; i < len(memory)/pageSize; i += goroutines {
				page(memory, i)[i%pageSize] = byte(i)
			}
		})
	}
	wg.Wait()
}

// A ring that is far too small loses records and says so; the faults are counted.
func TestTinyRingInAStorm(t *testing.T) {
	const pages = 20000
	p := newProfiler(t, WithRing(64))
	a := newArena(t, p, "arena", pages*pageSize)
	touchAll(a.Bytes(), 8)
	s := p.Snapshot()
	checkSums(t, s)
	if s.Stats.Faults != pages {
		t.Errorf("%d faults, want %d", s.Stats.Faults, pages)
	}
	if s.Stats.Dropped == 0 || s.Stats.Records < 64 {
		t.Errorf("%d records, %d dropped: want the ring filled and exceeded", s.Stats.Records, s.Stats.Dropped)
	}
	if got := s.Regions[0].Touched; got != int64(s.Stats.Records)*int64(pageSize) {
		t.Errorf("%d bytes touched in %d records", got, s.Stats.Records)
	}
	for i := range pages {
		if b := page(a.Bytes(), i)[i%pageSize]; b != byte(i) {
			t.Fatalf("page %d: %d", i, b)
		}
	}
}

// Snapshots that are taken while faults arrive agree with themselves and with each other.
func TestSnapshotsWhileFaultsArrive(t *testing.T) {
	const pages = 30000
	p := newProfiler(t, WithLogLimit(pages/2))
	a := newArena(t, p, "arena", pages*pageSize)
	first := p.Snapshot() // before the first touch: what it has is in no window
	done := make(chan struct{})
	go func() {
		touchAll(a.Bytes(), 4)
		close(done)
	}()
	last := first
	sum := Stats{}
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(2 * time.Millisecond):
		}
		s := p.Snapshot()
		checkSums(t, s)
		d := s.Sub(last)
		checkWindow(t, d)
		sum.Faults += d.Stats.Faults
		sum.Messages += d.Stats.Messages
		sum.LogCut += d.Stats.LogCut
		last = s
	}
	if last.Stats.Faults != pages || sum.Faults != pages || sum.Messages != last.Stats.Messages {
		t.Errorf("%d faults, windows add up to %d; want %d; messages %d and %d",
			last.Stats.Faults, sum.Faults, pages, last.Stats.Messages, sum.Messages)
	}
	if last.Stats.LogCut != pages/2 || sum.LogCut != pages/2 {
		t.Errorf("%d cut from the log, windows add up to %d; want %d", last.Stats.LogCut, sum.LogCut, pages/2)
	}
	if last.Regions[0].Touched != pages*int64(pageSize) {
		t.Errorf("%d bytes touched", last.Regions[0].Touched)
	}
	if first.Stats.Faults > last.Stats.Faults || len(first.Regions) != 1 {
		t.Errorf("the first snapshot changed: %+v", first.Stats)
	}
}

// Many threads that touch one page at once are one fault.
func TestCoTouchersAreOneFault(t *testing.T) {
	const pages, goroutines = 100, 32
	p := newProfiler(t)
	a := newArena(t, p, "arena", pages*pageSize)
	path := newFile(t, pages*pageSize)
	m, err := p.MapFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range pages {
		start := make(chan struct{})
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				<-start
				sink := a.Bytes()[i*pageSize+g*8] + m.Bytes()[i*pageSize+g*8]
				if want := byte(i*pageSize + g*8 + 1); sink != want {
					t.Errorf("page %d: %d, want %d", i, sink, want)
				}
			})
		}
		close(start)
		wg.Wait()
	}
	s := p.Snapshot()
	checkSums(t, s)
	for _, r := range s.Regions {
		if r.Faults != pages || r.Touched != pages*int64(pageSize) {
			t.Errorf("%s: %d faults, %d bytes touched, want %d pages", r.Name, r.Faults, r.Touched, pages)
		}
		if r.CoTouch > r.Messages-r.Faults {
			t.Errorf("%s: %d co-touchers in %d messages of %d faults", r.Name, r.CoTouch, r.Messages, r.Faults)
		}
	}
	var messages uint64
	for _, f := range s.Faults {
		messages += uint64(f.Messages)
	}
	if messages > s.Stats.Messages {
		t.Errorf("%d messages in faults, %d in all", messages, s.Stats.Messages)
	}
}
