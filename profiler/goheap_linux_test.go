//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/testproc"
)

// heapNode is an object that a list of known addresses is made of; 64 bytes, so that 64 fit a page.
type heapNode struct {
	next *heapNode
	v    [7]uint64
}

// heapList makes a list of n nodes that are linked in the order of their making.
func heapList(n int) *heapNode {
	var h *heapNode
	for i := range n {
		h = &heapNode{next: h}
		h.v[0], h.v[6] = uint64(i), ^uint64(i)
	}
	return h
}

// walkHeap reads every node, and reports whether it holds what it should.
//
//go:noinline
func walkHeap(h *heapNode, n int) bool {
	for i := n - 1; h != nil; h, i = h.next, i-1 {
		if h.v[0] != uint64(i) || h.v[6] != ^uint64(i) {
			return false
		}
		n--
	}
	return n == 0
}

// writeHeap writes to every node, before it reads anything of it, and reports whether it holds what it should: what
// was written last is in was.
//
//go:noinline
func writeHeap(h *heapNode, n int, was, is uint64) bool {
	for i := n - 1; h != nil; h, i = h.next, i-1 {
		h.v[1] = is
		if h.v[0] != uint64(i) || h.v[5] != was || h.v[6] != ^uint64(i) {
			return false
		}
		h.v[5] = is
		n--
	}
	return n == 0
}

// pages are those that the list lies on.
func (h *heapNode) pages() map[uintptr]bool {
	pages := make(map[uintptr]bool)
	for ; h != nil; h = h.next {
		pages[uintptr(unsafe.Pointer(h))/uintptr(pageSize)] = true
	}
	return pages
}

// ownPages are those of pages that have nothing but the list. The runtime takes objects of this size from spans of
// 8 KiB: one that holds as many nodes as any has no room for objects of others.
func (h *heapNode) ownPages() map[uintptr]bool {
	const span = 8 << 10
	nodes := make(map[uintptr]int)
	for n := h; n != nil; n = n.next {
		nodes[uintptr(unsafe.Pointer(n))/span]++
	}
	most := 0
	for _, n := range nodes {
		most = max(most, n)
	}
	pages := h.pages()
	maps.DeleteFunc(pages, func(page uintptr, _ bool) bool {
		lo := page * uintptr(pageSize)
		for s := lo / span; s <= (lo+uintptr(pageSize)-1)/span; s++ {
			if nodes[s] < most {
				return true
			}
		}
		return false
	})
	return pages
}

func attachHeap(t *testing.T, p *Profiler, opts ...RegionOption) *Region {
	t.Helper()
	if p.Snapshot().Stats.UserModeOnly {
		t.Skip("Stats.UserModeOnly: the Go heap is refused")
	}
	r, err := p.AttachGoHeap(opts...)
	if errors.Is(err, ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// heapTouches are the faults of one window by page.
type heapTouches map[uintptr][]Fault

func touchesOf(s *Snapshot) heapTouches {
	m := make(heapTouches)
	for _, f := range s.Faults {
		m[f.Address/uintptr(pageSize)] = append(m[f.Address/uintptr(pageSize)], f)
	}
	return m
}

// check holds the pages of a list against who should have touched them: each exactly once, by the actor, and
// where leaf is given with that function on the stack. It returns how many of them somebody else touched
// before, who has a part of the page.
func (m heapTouches) check(t *testing.T, s *Snapshot, pages map[uintptr]bool, actor Actor, leaf string) (others int) {
	t.Helper()
	for page := range pages {
		switch f := m[page]; {
		case slices.ContainsFunc(f, func(f Fault) bool { return f.Actor == ActorProfiler || f.Actor == ActorRuntime }):
			others++ // they may touch what they have there while the heap is armed, piece by piece
		case len(f) != 1:
			t.Errorf("page %#x was touched %d times:%s", page*uintptr(pageSize), len(f), describe(s, f))
		case f[0].Actor != actor:
			others++
		case leaf != "" && !onStack(s, f[0].Stack, leaf):
			others++
		}
	}
	return others
}

// accesses counts the pages of a list that a function of the program touched first, by access.
func (m heapTouches) accesses(s *Snapshot, pages map[uintptr]bool, leaf string) (n [2]int) {
	for page := range pages {
		for _, f := range m[page] {
			if f.Actor == ActorProgram && onStack(s, f.Stack, leaf) {
				n[f.Access]++
			}
		}
	}
	return n
}

func describe(s *Snapshot, faults []Fault) string {
	var b strings.Builder
	for _, f := range faults {
		fmt.Fprintf(&b, "\n\t%v %#x %v %v by %v:", f.Time, f.Address, f.Access, f.Source, f.Actor)
		for _, fr := range s.Frames(f.Stack) {
			b.WriteString(" " + fr.Function)
		}
	}
	return b.String()
}

func onStack(s *Snapshot, id StackID, function string) bool {
	for _, f := range s.Frames(id) {
		if strings.HasSuffix(f.Function, "."+function) {
			return true
		}
	}
	return false
}

// heapWork has goroutines read and write a list of n nodes and a map of their own until it is stopped, which tells
// how often they went through all of it. They allocate nothing, so that they get no part of pages that others have.
func heapWork(t *testing.T, list *heapNode, n int) (stop func() (rounds int64)) {
	numbers := make(map[uint64]uint64, n)
	for i := range uint64(n) {
		numbers[i*i] = i
	}
	var over atomic.Bool
	var rounds atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for k := uint64(0); !over.Load(); k++ {
			if !writeHeap(list, n, k, k+1) || !walkHeap(list, n) {
				t.Errorf("round %d: the list of another goroutine is not what it was", k)
				return
			}
			rounds.Add(1)
			time.Sleep(time.Millisecond) // else the faults of others wait for a processor
		}
	})
	wg.Go(func() {
		for k := uint64(0); !over.Load(); k++ {
			for i := range uint64(len(numbers)) {
				if numbers[i*i] != i+k {
					t.Errorf("round %d: the map of another goroutine has %d for %d, want %d", k, numbers[i*i], i*i, i+k)
					return
				}
				numbers[i*i]++
			}
			rounds.Add(1)
			time.Sleep(time.Millisecond) // else the faults of others wait for a processor
		}
	})
	return func() int64 {
		over.Store(true)
		wg.Wait()
		return rounds.Load()
	}
}

// A walk over known objects touches exactly their pages, by reading or by writing, and the collector all that
// was not walked, window by window, while other goroutines work on other objects.
func TestGoHeapIsExact(t *testing.T) {
	aside(t)
	inChild(t, "TestGoHeapIsExact", "all", nil, func(t *testing.T) {
		const n, lists, windows = 1 << 14, 4, 24
		var all [lists]*heapNode
		var pages [lists]map[uintptr]bool
		var written [lists]uint64 // last
		for i := range all {
			all[i] = heapList(n)
			// The ends of a list share their pages with other objects, such as the other goroutines'.
			pages[i] = all[i].ownPages()
			if own, on := len(pages[i]), len(all[i].pages()); own < on/2 {
				t.Fatalf("list %d lies on %d pages, and only %d have nothing else", i, on, own)
			}
		}
		const otherNodes = 1 << 12
		other := heapList(otherNodes)
		otherPages := other.ownPages()
		p := newProfiler(t, WithLogLimit(1<<20))
		debug.SetGCPercent(-1)
		runtime.GC() // and sweeps
		stop := heapWork(t, other, otherNodes)
		defer stop()
		r := attachHeap(t, p, WithHeapShare(1))
		rnd := rand.New(rand.NewPCG(1, 2))
		const few = 4 // pages of a list that may be somebody else's: a stack was missed, or the profiler came first
		var stacksMissed uint64
		beside := 0 // faults of the other goroutines in their list
		for w := range windows {
			before := p.Snapshot()
			rearm(t, r)
			order := rnd.Perm(lists)
			walked := order[:rnd.IntN(lists+1)]
			var leaf [lists]string
			for at, i := range walked {
				ok := false
				if (at+w)%2 == 0 {
					leaf[i], ok = "walkHeap", walkHeap(all[i], n)
				} else {
					leaf[i], ok = "writeHeap", writeHeap(all[i], n, written[i], uint64(w+1))
					written[i] = uint64(w + 1)
				}
				if !ok {
					t.Fatalf("window %d: list %d is not what it was", w, i)
				}
			}
			collect := rnd.IntN(2) == 0
			if collect {
				runtime.GC()
			}
			s := p.Snapshot().Sub(before)
			m := touchesOf(s)
			for at, i := range order {
				switch {
				case at < len(walked):
					others := m.check(t, s, pages[i], ActorProgram, leaf[i])
					if others > few {
						t.Errorf("window %d: %d of %d pages of a list that was walked are somebody else's", w, others, len(pages[i]))
					}
					want := [2]int{len(pages[i]) - others, 0}
					if leaf[i] == "writeHeap" {
						want[0], want[1] = want[1], want[0]
					}
					if got := m.accesses(s, pages[i], leaf[i]); got != want {
						t.Errorf("window %d: %s touched %d pages first by reading and %d by writing, want %d and %d", w, leaf[i], got[Read], got[Write], want[Read], want[Write])
					}
				case collect:
					if others := m.check(t, s, pages[i], ActorGC, ""); others > few {
						t.Errorf("window %d: %d of %d pages of a list that was not walked are not the collector's", w, others, len(pages[i]))
					}
				default:
					touched := 0
					for page := range pages[i] {
						touched += len(m[page])
					}
					if touched > few {
						t.Errorf("window %d: %d pages of a list were touched by nobody", w, touched)
					}
				}
			}
			if s.Stats.Dropped != 0 || s.Stats.LogCut != 0 || s.Stats.ResolveErrs != 0 {
				t.Fatalf("window %d: %+v", w, s.Stats)
			}
			stacksMissed += s.Stats.StacksMissed
			for _, leaf := range []string{"walkHeap", "writeHeap"} {
				n := m.accesses(s, otherPages, leaf)
				beside += n[Read] + n[Write]
			}
		}
		if stacksMissed > windows {
			t.Errorf("%d stacks missed", stacksMissed)
		}
		closeBusy(t, r.Close)
		if rounds := stop(); rounds < windows || beside == 0 {
			t.Errorf("the other goroutines went through their objects %d times, and touched %d pages first", rounds, beside)
		}
		for i := range all {
			if !writeHeap(all[i], n, written[i], 0) {
				t.Fatalf("afterwards list %d is not what it was", i)
			}
		}
		runtime.KeepAlive(all)
	})
}

// What the scavenger gave back is new memory when it is used again, zeros, and not what a layer held of it.
func TestGoHeapScavenged(t *testing.T) {
	aside(t)
	inChild(t, "TestGoHeapScavenged", "all", nil, func(t *testing.T) {
		const size = 8 << 20
		p := newProfiler(t, WithLogLimit(1<<20))
		debug.SetGCPercent(-1)
		for round := range 5 {
			fill(make([]byte, 2*size), byte(round+1))
			runtime.GC()
			r := attachHeap(t, p, WithHeapShare(1), WithName(strings.Repeat("x", round+1))) // in a layer
			debug.FreeOSMemory()
			if h := p.Snapshot().Regions[r.ID()].Heap; h.Released < 2*size || h.Unseen != 0 {
				t.Errorf("%+v: less was released than is free", h)
			}
			before := p.Snapshot()
			b := make([]byte, size)
			for i := 0; i < size; i += pageSize {
				if b[i] != 0 {
					t.Fatalf("new memory holds %d", b[i])
				}
			}
			s := p.Snapshot().Sub(before)
			m := touchesOf(s)
			zero := 0
			for lo := addressOf(b); lo < addressOf(b)+size; lo += uintptr(pageSize) {
				f := m[lo/uintptr(pageSize)]
				if len(f) != 1 {
					t.Errorf("%d touches of %#x", len(f), lo)
				} else if f[0].Source == SourceZero {
					zero++
				}
			}
			if zero < size/pageSize*9/10 { // the rest is where something else was
				t.Errorf("%d of %d pages were new", zero, size/pageSize)
			}
			runtime.KeepAlive(b)
			closeBusy(t, r.Close)
		}
	})
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

// The heap grows: new blocks are found, and what the mappings show is what the runtime says.
func TestGoHeapGrows(t *testing.T) {
	aside(t)
	inChild(t, "TestGoHeapGrows", "all", nil, func(t *testing.T) {
		p := newProfiler(t, WithRescan(5*time.Millisecond), WithLogLimit(1<<20))
		debug.SetGCPercent(-1)
		r := attachHeap(t, p, WithHeapShare(1))
		blocks := p.Snapshot().Regions[r.ID()].Heap.Blocks
		const n = 1 << 20
		for round := range 3 {
			h := heapList(n)
			want := blocks + n*int(unsafe.Sizeof(*h))/heapBlock
			for end := time.Now().Add(testproc.Budget(hangBudget / 2)); blocks < want; time.Sleep(time.Millisecond) {
				r.mu.Lock()
				blocks = r.heap.blocks
				r.mu.Unlock()
				if time.Now().After(end) {
					t.Fatalf("%d blocks, want %d", blocks, want)
				}
			}
			if got := p.Snapshot().Regions[r.ID()]; got.Heap.Observed != got.Heap.Blocks || got.Mapped != int64(got.Heap.Blocks)*heapBlock {
				t.Fatalf("%+v, mapped %d", got.Heap, got.Mapped)
			}
			before := p.Snapshot()
			rearm(t, r)
			if !walkHeap(h, n) {
				t.Fatal("the list is not what it was")
			}
			s := p.Snapshot().Sub(before)
			pages := h.pages()
			if others := touchesOf(s).check(t, s, pages, ActorProgram, "walkHeap"); others > len(pages)/1000 {
				t.Errorf("round %d: %d of %d pages are somebody else's", round, others, len(pages))
			}
		}
		for end := time.Now().Add(testproc.Budget(hangBudget / 2)); ; time.Sleep(50 * time.Millisecond) {
			g := p.Snapshot().Regions[r.ID()]
			if g.Heap.Unseen == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%+v: not all of the heap was found", g.Heap)
			}
		}
		closeBusy(t, r.Close)
	})
}

// The heap may grow into an arena that comes after the mappings were read, which a young heap does at its first look. What
// was not found is told, and looked for again at once.
func TestGoHeapGrowsWhileLookedAt(t *testing.T) {
	aside(t)
	inChild(t, "TestGoHeapGrowsWhileLookedAt", "all", nil, func(t *testing.T) {
		p := newProfiler(t, WithRescan(time.Hour))
		debug.SetGCPercent(-1)
		r := attachHeap(t, p, WithHeapShare(1))
		before, err := p.readMaps()
		if err != nil {
			t.Fatal(err)
		}
		h := heapList(1 << 21) // two arenas
		least := int64(heapArena)
		r.mu.Lock()
		err = r.lookHeap(before, engine.Now())
		r.mu.Unlock()
		if g := p.Snapshot().Regions[r.ID()].Heap; err != nil || g.Unseen < least {
			t.Errorf("mappings from before it grew: %+v, %v, want at least %d unseen", g, err, least)
		}
		reads := 0
		r.mu.Lock()
		err = r.lookHeapAs(func() ([]procMap, error) {
			if reads++; reads == 1 {
				return before, nil
			}
			return p.readMaps()
		})
		r.mu.Unlock()
		if g := p.Snapshot().Regions[r.ID()].Heap; err != nil || g.Unseen != 0 || g.Observed != g.Blocks {
			t.Errorf("looked at again: %+v, %v", g, err)
		}
		runtime.KeepAlive(h)
		closeBusy(t, r.Close)

		p.mu.Lock()
		first, err := p.newRegion("first look", KindGoHeap, 0, nil)
		p.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		first.heap = &goHeap{covered: make(map[uintptr]bool)} // none of whose blocks is chosen
		err = first.lookHeap(nil, engine.Now())
		first.mu.Unlock()
		if g := p.Snapshot().Regions[first.ID()].Heap; err != nil || g == nil || g.Unseen < least || g.Blocks != 0 {
			t.Errorf("a first look that finds nothing: %+v, %v", g, err)
		}
		closeBusy(t, first.Close)
	})
}

// A share of the heap gives the size of the whole within the error that it states: over many walks of the
// same known memory with different blocks chosen. The blocks are chosen by their address, so each round has
// lists of its own.
func TestGoHeapShareIsUnbiased(t *testing.T) {
	aside(t)
	inChild(t, "TestGoHeapShareIsUnbiased", "all", nil, func(t *testing.T) {
		p := newProfiler(t, WithLogLimit(1<<20))
		debug.SetGCPercent(-1)
		const n, lists = 1 << 16, 24 // 4 MiB each
		// Which blocks are observed never changes, so rounds with the same lists err alike: there are several sets of them.
		var sets [3][lists]*heapNode
		for i := range sets {
			for k := range sets[i] {
				sets[i][k] = heapList(n)
			}
		}
		runtime.GC()
		r := attachHeap(t, p, WithHeapShare(0.5))
		rnd := rand.New(rand.NewPCG(7, 7))
		var sum, truth float64
		within := 0
		rounds := testproc.Times(3, 8) * len(sets)
		for round := range rounds {
			all := &sets[round%len(sets)]
			before := p.Snapshot()
			rearm(t, r)
			k := 1 + rnd.IntN(lists-1)
			for _, i := range rnd.Perm(lists)[:k] {
				if !walkHeap(all[i], n) {
					t.Fatal("a list is not what it was")
				}
			}
			s := p.Snapshot().Sub(before)
			var own int64 // what others touch is not known, so it is left out
			for _, g := range s.Groups {
				if g.Region == r.ID() && onStack(s, g.Stack, "walkHeap") {
					own += int64(g.Bytes)
				}
			}
			got := s.Regions[r.ID()]
			scale := float64(got.Heap.Blocks) / float64(got.Heap.Observed)
			sum += float64(own) * scale
			truth += float64(k * n * 64)
			total, stderr := got.Estimate.Touched, got.Estimate.TouchedError
			// The heap may get blocks in a round, and what was seen before then stands for fewer.
			first := before.Regions[r.ID()].Heap
			if total < float64(own)*min(scale, float64(first.Blocks)/float64(first.Observed)) || stderr <= 0 {
				t.Fatalf("estimate %v ± %v, and %d bytes of the lists were seen", total, stderr, own)
			}
			if math.Abs(float64(own)*scale-float64(k*n*64)) < 2*stderr {
				within++
			}
		}
		if d := math.Abs(sum/truth - 1); d > 0.25 {
			t.Errorf("over all rounds %.0f bytes were estimated, and %.0f touched", sum, truth)
		}
		if within < rounds*3/4 {
			t.Errorf("%d of %d estimates are within two standard errors", within, rounds)
		}
		closeBusy(t, r.Close)
	})
}
