//go:build linux && (amd64 || arm64)

package profiler

import (
	"encoding/binary"
	"errors"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// storm is goroutines that write and read memory without end, each its own pages, and know what it
// holds.
type storm struct {
	a      *armed
	words  []uint64 // the first word of each page
	passes [stormers]atomic.Int64
	stop   atomic.Bool
	done   sync.WaitGroup
}

const stormers = 8

// startStorm counts up in the first word of each page of a region.
func startStorm(t *testing.T, a *armed) *storm {
	s := &storm{a: a, words: make([]uint64, len(a.memory)/pageSize)}
	for i := range s.words {
		s.words[i] = binary.LittleEndian.Uint64(page(a.want, i))
	}
	for g := range stormers {
		s.done.Go(func() {
			for ; !s.stop.Load(); s.passes[g].Add(1) {
				for i := g; i < len(s.words); i += stormers {
					word := page(a.memory, i)[:8]
					if got := binary.LittleEndian.Uint64(word); got != s.words[i] {
						t.Errorf("%s: page %d counts %d, want %d", a.region.Name(), i, got, s.words[i])
						s.stop.Store(true)
						return
					}
					s.words[i]++
					binary.LittleEndian.PutUint64(word, s.words[i])
				}
			}
		})
	}
	return s
}

// pass waits until every page was written again, whoever was blocked before.
func (s *storm) pass() {
	var before [stormers]int64
	for g := range before {
		before[g] = s.passes[g].Load()
	}
	for g := range before {
		for s.passes[g].Load() < before[g]+2 && !s.stop.Load() {
			runtime.Gosched()
		}
	}
}

// end stops the storm and checks what it has written.
func (s *storm) end(t *testing.T) {
	t.Helper()
	s.stop.Store(true)
	s.done.Wait()
	for i, v := range s.words {
		binary.LittleEndian.PutUint64(page(s.a.want, i), v)
	}
	s.a.checkContents(t)
}

// closes are ways to give a file back while it is in use.
var closes = []struct {
	name  string
	close func(t *testing.T, p *Profiler, file *Region)
}{
	{"region", func(t *testing.T, p *Profiler, file *Region) { closeBusy(t, file.Close) }},
	{"profiler", func(t *testing.T, p *Profiler, file *Region) { closeBusy(t, p.Close) }},
	{"both at once, twice", func(t *testing.T, p *Profiler, file *Region) {
		var wg sync.WaitGroup
		for _, c := range []func() error{p.Close, file.Close, p.Close, file.Close} {
			wg.Go(func() { closeBusy(t, c) })
		}
		wg.Wait()
	}},
}

// A file that is given back in the middle of a storm of touches is plain memory again: nobody is
// left waiting, the contents are what was written, and its mapping is one piece as before.
func TestCloseInAStorm(t *testing.T) {
	aside(t)
	for _, c := range closes {
		inChild(t, "TestCloseInAStorm", c.name, []string{"GOGC=1"}, func(t *testing.T) {
			const pages = 3000
			p := newProfiler(t)
			collecting(t)
			file := arm(t, p, pages)[1]
			if n := len(mappingsOf(t, file)); n < 2 {
				t.Fatalf("%d mappings in the file's range: it is not covered", n)
			}
			st := startStorm(t, file)
			for p.Snapshot().Stats.Faults < pages/2 {
				runtime.Gosched()
			}
			c.close(t, p, file.region)
			st.pass()
			st.end(t)
			list := mappingsOf(t, file)
			if len(list) != 1 || !list[0].shared || list[0].inode == 0 {
				t.Errorf("mappings afterwards: %+v, want the file's own in one piece", list)
			}
			if err := file.region.Rearm(); !errors.Is(err, ErrClosed) {
				t.Errorf("arm again after closing: %v, want ErrClosed", err)
			}
		})
	}
}

// Windows come and go in a storm.
func TestRearmInAStorm(t *testing.T) {
	aside(t)
	inChild(t, "TestRearmInAStorm", "all", []string{"GOGC=1"}, func(t *testing.T) {
		const pages, windows = 500, 10
		p := newProfiler(t)
		collecting(t)
		file := arm(t, p, pages)[1]
		st := startStorm(t, file)
		for range windows {
			st.pass()
			closeBusy(t, file.region.Rearm)
		}
		st.pass()
		s := p.Snapshot()
		st.end(t)
		r := s.Regions[file.region.ID()]
		if r.Rearms != windows || r.Faults != (windows+1)*pages {
			t.Errorf("%d windows, %d faults; want %d and %d", r.Rearms, r.Faults, windows, (windows+1)*pages)
		}
	})
}

// mappingsOf lists the mappings in the range of a region's memory.
func mappingsOf(t *testing.T, a *armed) []procMap {
	t.Helper()
	list, err := readMaps()
	if err != nil {
		t.Fatal(err)
	}
	lo, hi := addressOf(a.memory), addressOf(a.memory)+uintptr(len(a.memory))
	return slices.DeleteFunc(list, func(m procMap) bool { return m.hi <= lo || hi <= m.lo })
}

// The memory of an arena and of a mapped file outlives the profiler, and is gone with its region.
func TestMemoryOutlivesTheProfiler(t *testing.T) {
	aside(t)
	inChild(t, "TestMemoryOutlivesTheProfiler", "all", []string{"GOGC=1"}, func(t *testing.T) {
		const pages = 3000
		p := newProfiler(t)
		collecting(t)
		arena := arm(t, p, pages)[0]
		mapped, err := p.MapFile(newFile(t, pages*pageSize))
		if err != nil {
			t.Fatal(err)
		}
		file := &armed{region: mapped, memory: mapped.Bytes(), want: contents(pages * pageSize)}
		st := startStorm(t, arena)
		reading := during(func(i int) {
			if i %= pages; page(file.memory, i)[8] != page(file.want, i)[8] {
				t.Errorf("page %d of the file is wrong", i)
			}
		})
		for p.Snapshot().Stats.Faults < pages/2 {
			runtime.Gosched()
		}
		closeBusy(t, p.Close)
		st.pass()
		st.end(t)
		reading()
		file.checkContents(t)
		for _, a := range []*armed{arena, file} {
			for range 2 {
				if err := a.region.Close(); err != nil {
					t.Error(err)
				}
			}
			if b := a.region.Bytes(); b != nil {
				t.Errorf("%s still has %d bytes", a.region.Name(), len(b))
			}
		}
	})
}

// Closing an arena unmaps it. Whoever still reads it then gets the error that the Go runtime makes
// of that, or the zeros that it held before, but waits for nobody.
func TestArenaClosedUnderItsReaders(t *testing.T) {
	aside(t)
	inChild(t, "TestArenaClosedUnderItsReaders", "all", []string{"GOGC=1"}, func(t *testing.T) {
		const rounds, pages = 8, 1000
		p := newProfiler(t)
		collecting(t)
		for range rounds {
			a := newArena(t, p, "arena", pages*pageSize)
			memory := a.Bytes()
			var wg sync.WaitGroup
			for g := range stormers {
				wg.Go(func() {
					defer func() {
						if e, ok := recover().(runtime.Error); !ok {
							t.Error("a reader of memory that is gone went on")
						} else if _, ok := e.(interface{ Addr() uintptr }); !ok {
							panic(e)
						}
					}()
					debug.SetPanicOnFault(true)
					for i := g; ; i += stormers {
						if b := page(memory, i%pages)[0]; b != 0 {
							t.Errorf("page %d holds %d", i%pages, b)
						}
					}
				})
			}
			for p.Snapshot().Regions[a.ID()].Faults < pages/2 {
				runtime.Gosched()
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
			wg.Wait()
		}
		if s := p.Snapshot(); s.Stats.Faults < rounds*pages/2 || s.Stats.ResolveErrs != 0 {
			t.Errorf("%d faults, %d failed (%s)", s.Stats.Faults, s.Stats.ResolveErrs, s.Stats.LastError)
		}
	})
}
