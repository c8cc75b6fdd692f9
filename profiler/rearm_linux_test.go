//go:build linux && (amd64 || arm64)

package profiler

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// rearm arms a region again, or skips the test where the kernel cannot.
func rearm(t *testing.T, r *Region) {
	t.Helper()
	err := patiently(r.Rearm)
	if errors.Is(err, ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// manyWindows is how many windows of a truth a test wants.
func manyWindows() int { return testproc.Times(6, 25) }

// truth is memory of which a test knows what every page holds, and who touches it: the upper half is
// touched by exact only, the lower half by a storm of readers and writers.
type truth struct {
	region *Region
	memory []byte
	size   int             // of a page
	writes bool            // reads are not observed
	kept   []byte          // what the memory held at first
	words  []atomic.Uint64 // first word of each page, which alone is written from then on
	half   int
	over   atomic.Bool
	storms sync.WaitGroup
}

func newTruth(r *Region, memory []byte) *truth {
	return newTruthOf(r, memory, pageSize)
}

func newTruthOf(r *Region, memory []byte, size int) *truth {
	n := len(memory) / size
	k := &truth{region: r, memory: memory, size: size, kept: slices.Clone(memory), words: make([]atomic.Uint64, n), half: n / 2}
	for i := range k.words {
		k.words[i].Store(binary.LittleEndian.Uint64(k.kept[i*size:]))
	}
	return k
}

func (k *truth) page(i int) []byte { return k.memory[i*k.size : (i+1)*k.size] }

// now is what the memory has to hold, each byte of it.
func (k *truth) now() []byte {
	b := slices.Clone(k.kept)
	for i := range k.words {
		binary.LittleEndian.PutUint64(b[i*k.size:], k.words[i].Load())
	}
	return b
}

// storm has goroutines read and write the lower half, each its own pages.
func (k *truth) storm(t *testing.T, goroutines int) {
	for g := range goroutines {
		k.storms.Go(func() {
			rnd := rand.New(rand.NewPCG(17, uint64(g)))
			for !k.over.Load() {
				i := rnd.IntN(k.half/goroutines)*goroutines + g
				if !k.check(t, i) {
					return
				}
				if rnd.IntN(2) == 0 {
					k.write(i, rnd.Uint64())
				}
			}
		})
	}
}

// check compares both ends of a page, since end compares all of it.
func (k *truth) check(t *testing.T, i int) bool {
	if got, want := binary.LittleEndian.Uint64(k.page(i)), k.words[i].Load(); got != want {
		t.Errorf("%s: page %d holds %#x, want %#x", k.region.Name(), i, got, want)
		k.over.Store(true)
		return false
	}
	last := (i+1)*k.size - 8
	if got, want := binary.LittleEndian.Uint64(k.memory[last:]), binary.LittleEndian.Uint64(k.kept[last:]); got != want {
		t.Errorf("%s: page %d ends with %#x, want %#x", k.region.Name(), i, got, want)
		k.over.Store(true)
		return false
	}
	return true
}

func (k *truth) write(i int, v uint64) {
	binary.LittleEndian.PutUint64(k.page(i), v)
	k.words[i].Store(v)
}

// end ends the storm and compares every byte.
func (k *truth) end(t *testing.T) {
	t.Helper()
	k.over.Store(true)
	k.storms.Wait()
	want := k.now()
	if i := different(k.memory, want); i >= 0 {
		t.Errorf("%s: byte %d of page %d is %d, want %d", k.region.Name(), i%k.size, i/k.size, k.memory[i], want[i])
	}
}

// window touches a set of pages of the upper half from several goroutines, some by reading and some by
// writing, and wants to see exactly that.
func (k *truth) window(t *testing.T, p *Profiler, rnd *rand.Rand, goroutines int) {
	t.Helper()
	upper := len(k.words) - k.half
	set := rnd.Perm(upper)[:rnd.IntN(upper+1)]
	writes := make([]bool, len(set))
	for i := range writes {
		writes[i] = rnd.IntN(2) == 0
	}
	before := p.Snapshot()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for j := g; j < len(set); j += goroutines {
				i := k.half + set[j]
				if writes[j] {
					k.write(i, uint64(i)<<32|uint64(j))
				}
				k.check(t, i)
			}
		})
	}
	wg.Wait()
	s := p.Snapshot().Sub(before)
	checkWindow(t, s)
	var want, got [2][]int // by access
	for j, i := range set {
		a := Read
		if writes[j] {
			a = Write
		}
		if a == Read && k.writes {
			continue
		}
		want[a] = append(want[a], i)
	}
	for _, f := range s.Faults {
		if i := int(f.Offset)/k.size - k.half; f.Region == k.region.ID() && i >= 0 {
			got[f.Access] = append(got[f.Access], i)
		}
	}
	for a := range want {
		slices.Sort(want[a])
		slices.Sort(got[a])
		if !slices.Equal(want[a], got[a]) {
			t.Errorf("%v: %d pages, seen %d", Access(a), len(want[a]), len(got[a]))
		}
	}
	if s.Stats.ResolveErrs != 0 || s.Stats.Dropped != 0 {
		t.Errorf("%d resolves failed (%s), %d dropped", s.Stats.ResolveErrs, s.Stats.LastError, s.Stats.Dropped)
	}
}

// Over many windows an arena shows exactly what was read and what was written in each, and holds what
// it held, under a storm of others, with garbage collections.
func TestArenaWindows(t *testing.T) {
	aside(t)
	inChildren(t, "TestArenaWindows", "all", []string{"GOGC=1"}, func(t *testing.T) {
		const pages = 2048
		windows := manyWindows()
		p := newProfiler(t, WithLogLimit(1<<22))
		collecting(t)
		a := newArena(t, p, "arena", pages*pageSize)
		copy(a.Bytes(), contents(pages*pageSize))
		k := newTruth(a, a.Bytes())
		rearm(t, a)
		k.storm(t, 3)
		rnd := rand.New(rand.NewPCG(1, 9))
		for range windows {
			k.window(t, p, rnd, 4)
			rearm(t, a)
		}
		k.end(t)
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		k.end(t)
		s := p.Snapshot()
		checkSums(t, s)
		if r := s.Regions[a.ID()]; r.Rearms != uint64(windows+1) || r.Left != 0 {
			t.Errorf("armed %d times, %d pages left", r.Rearms, r.Left)
		}
	})
}
