//go:build linux && (amd64 || arm64)

package profiler

import (
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Of an arena what was touched is resident, also while it lies aside, and of a file what the page cache
// holds.
func TestResident(t *testing.T) {
	const pages = 64
	p := newProfiler(t)
	arena := newArena(t, p, "arena", pages*pageSize)
	for k := range 10 {
		arena.Bytes()[k*pageSize] = 1
	}
	check := func(when string, id RegionID, want int) {
		t.Helper()
		if got, ok := p.Resident()[id]; !ok || got != int64(want*pageSize) {
			t.Errorf("%s: %d bytes (%v), want %d pages", when, got, ok, want)
		}
	}
	check("touched", arena.ID(), 10)
	path := newFile(t, pages*pageSize)
	file, err := p.MapFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fsync(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
	cached := residencyOf(t, path, pages)
	resident := func() (n int) {
		for _, v := range cached() {
			n += int(v & 1)
		}
		return n
	}
	check("written just now", file.ID(), resident())
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	check("dropped", file.ID(), resident()) // all of it, or nothing where the file system is in memory
	rearm(t, arena)                         // or skip
	check("armed again", arena.ID(), 10)
	arena.Bytes()[3*pageSize], arena.Bytes()[20*pageSize] = 2, 2
	check("touched again", arena.ID(), 11)
}

// Who asks while others ask gets an answer too: a service may have several readers of its metrics.
func TestResidentForSeveral(t *testing.T) {
	const pages, readers = 4096, 4
	p := newProfiler(t, WithRescan(time.Millisecond))
	path := newFile(t, pages*pageSize)
	file, err := p.MapFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			for range 100 {
				if _, ok := p.Resident()[file.ID()]; !ok {
					t.Error("not known")
				}
			}
		})
	}
	wg.Wait()
}

// A region of many GiB is looked at in parts.
func TestResidentOfMuch(t *testing.T) {
	p := newProfiler(t)
	const size = 8 << 30
	arena := newArena(t, p, "arena", size)
	if got, ok := p.Resident()[arena.ID()]; !ok || got != 0 {
		t.Errorf("untouched: %d, %v", got, ok)
	}
	// The first part that is looked at.
	for k := range residentRun {
		arena.Bytes()[k*pageSize] = 1
	}
	if got := p.Resident()[arena.ID()]; got != size/(residentPages/residentRun) {
		t.Errorf("one of %d parts touched: %d bytes", residentPages/residentRun, got)
	}
}
