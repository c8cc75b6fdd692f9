//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// Known sets of pages, touched window by window in an arena and in a file: every size is what counting
// the sets gives.
func TestWindowsTellTheWorkingSet(t *testing.T) {
	const pages, windows = 300, 20
	p := newProfiler(t)
	arena := newArena(t, p, "arena", pages*pageSize)
	copy(arena.Bytes(), contents(pages*pageSize))
	file, err := p.MapFile(newFile(t, pages*pageSize))
	if err != nil {
		t.Fatal(err)
	}
	rearm(t, arena) // or skip
	w := p.NewWindows(arena, file)
	defer w.Close()
	regions := []*Region{arena, file}
	ever := [2]map[int]bool{{}, {}}
	last := [2]map[int]time.Duration{{}, {}} // end of the last window that touched a page
	var began time.Duration
	total := [2]int{}
	rnd := rand.New(rand.NewPCG(4, 4))
	for n := range windows {
		var touched, fresh [2]int
		var now [2][]int
		for i, r := range regions {
			now[i] = rnd.Perm(pages)[:rnd.IntN(pages/2)]
			for _, k := range now[i] {
				wordAt(t, r.Bytes(), k*pageSize+16)
				touched[i]++
				if !ever[i][k] {
					ever[i][k] = true
					fresh[i]++
				}
			}
			total[i] += touched[i]
		}
		got, err := w.Next()
		if err != nil {
			t.Fatal(err)
		}
		page := int64(pageSize)
		if n == 0 {
			began = got[0].Start
		}
		for i, r := range regions {
			for _, k := range now[i] {
				last[i][k] = got[i].End
			}
			// A slow machine may reach what takes long, give or take a fifth.
			observed := got[i].End - began
			since := func(least time.Duration, seen int64) int64 {
				if observed < least {
					return -1
				}
				return seen
			}
			idle := func(least time.Duration) int64 {
				bytes := int64(0)
				for _, at := range last[i] {
					if got[i].End-at >= least {
						bytes += page
					}
				}
				return since(least, bytes)
			}
			want := RegionWindow{
				Region: r.ID(), Start: got[i].Start, End: got[i].End,
				Touched: int64(touched[i]) * page, New: int64(fresh[i]) * page, Reused: int64(touched[i]-fresh[i]) * page,
				Mapped: pages * page, Never: int64(pages-len(ever[i])) * page,
				Idle30s: idle(30 * time.Second), Idle2m: idle(2 * time.Minute), Idle10m: idle(10 * time.Minute),
				Touched1s: got[i].Touched1s, Touched10s: since(8*time.Second, got[i].Touched10s),
				Touched60s: since(48*time.Second, got[i].Touched60s), Reread: got[i].Reread, Share: 1,
			}
			if got[i] != want || got[i].End <= got[i].Start {
				t.Errorf("window %d of %s: %+v, want %+v", n, r.Name(), got[i], want)
			}
		}
	}
	for i, ws := range w.WorkingSets() {
		name, page := regions[i].Name(), int64(pageSize)
		first, last := ws.Curve[0], ws.Curve[len(ws.Curve)-1]
		if ws.Region != regions[i].ID() || len(ws.Windows) != windows || first.Windows != 1 || first.Bytes != int64(float64(total[i])/windows*float64(pageSize)) ||
			last.Windows != windows || last.Bytes != int64(len(ever[i]))*page {
			t.Errorf("%s: %d windows, curve %v, want it from %d/%d to %d", name, len(ws.Windows), ws.Curve, total[i], windows, len(ever[i]))
		}
		// A cache of all pages misses each page once.
		m := ws.Misses[len(ws.Misses)-1]
		if ws.Sample != 1 || m.Bytes < int64(len(ever[i]))*page || m.Miss != float64(len(ever[i]))/float64(total[i]) || m.Error != 0 {
			t.Errorf("%s: miss ratio %+v, want %d/%d", name, m, len(ever[i]), total[i])
		}
	}
}

// A region that comes later has windows from then on, and one that is closed leaves after its last one.
func TestWindowsFollowTheRegions(t *testing.T) {
	p := newProfiler(t)
	first, second := newArena(t, p, "first", 4*pageSize), newArena(t, p, "second", 4*pageSize)
	copy(first.Bytes(), contents(4*pageSize))
	copy(second.Bytes(), contents(4*pageSize))
	rearm(t, first) // or skip
	w := p.NewWindows(first)
	defer w.Close()
	wordAt(t, first.Bytes(), 0)
	w.Add(second)
	wordAt(t, second.Bytes(), 0)
	wordAt(t, second.Bytes(), pageSize)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := w.Next()
	if err != nil || len(got) != 2 || got[0].Touched != int64(pageSize) || got[1].Touched != 2*int64(pageSize) || got[1].Start <= got[0].Start {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = w.Next()
	if err != nil || len(got) != 1 || got[0].Region != second.ID() || got[0].Touched != 0 || got[0].Never != 2*int64(pageSize) {
		t.Errorf("after one was closed: %+v, %v", got, err)
	}
}

// Windows do not end with the log, and say so when records were lost.
func TestWindowsBeyondTheLog(t *testing.T) {
	const pages = 500
	p := newProfiler(t, WithLogLimit(10), WithRing(64))
	arena := newArena(t, p, "arena", pages*pageSize)
	copy(arena.Bytes(), contents(pages*pageSize))
	rearm(t, arena) // or skip
	w := p.NewWindows(arena)
	defer w.Close()
	for k := range 40 {
		wordAt(t, arena.Bytes(), k*pageSize)
	}
	if got, err := w.Next(); err != nil || got[0].Err != nil || got[0].Touched != int64(40*pageSize) {
		t.Errorf("%+v, %v", got, err)
	}
	before := p.Snapshot().Stats.Dropped // when the arena was filled
	for k := range pages {
		wordAt(t, arena.Bytes(), k*pageSize)
	}
	got, err := w.Next()
	if dropped := p.Snapshot().Stats.Dropped - before; err != nil || (got[0].Err != nil) != (dropped > 0) {
		t.Errorf("%d records dropped: %+v, %v", dropped, got, err)
	}
	if got, err := w.Next(); err != nil || got[0].Err != nil || got[0].Touched != 0 {
		t.Errorf("afterwards: %+v, %v", got, err)
	}
}

// A window of many files begins with as few stops of the other threads as that of one, and each file shows its own touches.
func TestWindowOfManyFiles(t *testing.T) {
	const files, pages = 24, 4
	p := newProfiler(t, WithRescan(time.Hour), WithStopLimit(10*time.Second))
	// Where a process has locked memory, of whatever kind, the list of mappings tells where, too.
	other := mapMemory(t, 1)
	if err := unix.Mlock(other); err != nil {
		t.Logf("without locked memory: %v", err)
	} else {
		t.Cleanup(func() { must(t, unix.Munlock(other)) })
	}
	var regions []*Region
	var all [][]byte
	for i := range files {
		path := diskFile(t, pages*pageSize)
		all = append(all, mapFile(t, path, pages*pageSize, unix.PROT_READ, unix.MAP_SHARED))
		r, err := attached(func() (*Region, error) { return p.AttachFile(path, WithName(fmt.Sprint("file ", i))) })
		if err != nil {
			t.Fatal(err)
		}
		regions = append(regions, r)
	}
	w := p.NewWindows(regions...)
	defer w.Close()
	for round := range 3 {
		for i, b := range all {
			for j := range i % (pages + 1) {
				sink = b[j*pageSize]
			}
		}
		reads, stops := p.mapsReads.Load(), p.Snapshot().Stats.Stops
		out, err := w.Next()
		if err != nil {
			t.Fatal(err)
		}
		if n := p.mapsReads.Load() - reads; n > 1 {
			t.Errorf("window %d: the mappings were read %d times for %d files", round, n, files)
		}
		if n := p.Snapshot().Stats.Stops - stops; n > files/4 {
			t.Errorf("window %d: the threads were stopped %d times for %d files", round, n, files)
		}
		for i, o := range out {
			if want := int64(i % (pages + 1) * pageSize); o.Err != nil || o.Touched != want {
				t.Errorf("window %d: %d bytes of file %d were touched, want %d; %v", round, o.Touched, i, want, o.Err)
			}
		}
	}
	must(t, regions[3].Close())
	errs := p.Rearm(regions[3], regions[4], regions[4])
	if !errors.Is(errs[0], ErrClosed) || errs[1] != nil || errs[2] != nil {
		t.Errorf("a closed region and one that is named twice: %v", errs)
	}
}

// Windows end, looks attach several files that take the place of others, and regions are armed, sampled and closed, all at once: nobody waits for
// who waits for it, and every page holds what its file does.
func TestWindowsWhileFilesComeAndGo(t *testing.T) {
	inChild(t, "TestWindowsWhileFilesComeAndGo", "windows", nil, func(t *testing.T) {
		const files = 6
		p := newProfiler(t, WithRescan(5*time.Millisecond), WithStopLimit(10*time.Second))
		dir := t.TempDir()
		w := p.NewWindows()
		p.Watch(func(l *Look) {
			var found []FoundFile
			for f := range l.Files() {
				if strings.HasPrefix(f.Path, dir) && !strings.HasSuffix(f.Path, ")") {
					found = append(found, FoundFile{f.Path, []RegionOption{WithName(fmt.Sprint(f)), UntilUnmapped()}})
				}
			}
			regions, _ := l.AttachFiles(found)
			w.Add(slices.DeleteFunc(regions, func(r *Region) bool { return r == nil })...)
		})
		over := make(chan struct{})
		var others sync.WaitGroup
		each := func(do func()) {
			others.Go(func() {
				for {
					select {
					case <-over:
						return
					default:
						do()
					}
				}
			})
		}
		each(func() { _, _ = w.Next() })
		each(func() { _ = p.Rearm(p.openRegions()...) })
		each(func() {
			for _, r := range p.openRegions() {
				_ = r.SetSampling(rand.Float64())
			}
		})
		each(func() {
			if open := p.openRegions(); len(open) > 0 {
				_ = open[rand.IntN(len(open))].Close()
			}
			time.Sleep(time.Millisecond)
		})
		for round := range testproc.Times(3, 40) {
			var unmap []func()
			for i := range files {
				path := filepath.Join(dir, fmt.Sprint(i))
				_ = os.Remove(path)
				b, gone := shortLived(t, path, 4)
				unmap = append(unmap, gone)
				if err := p.Look(t.Context()); err != nil {
					t.Fatal(err)
				}
				if at := different(b, contents(len(b))); at >= 0 {
					t.Fatalf("round %d: byte %d of file %d is wrong", round, at, i)
				}
			}
			for _, f := range unmap {
				f()
			}
		}
		close(over)
		others.Wait()
		w.Close()
		must(t, patiently(p.Close))
	})
}
