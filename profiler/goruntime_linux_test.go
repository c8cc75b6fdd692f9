//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/pclntab"
	"golang.org/x/sys/unix"
)

// unknowns are what may be unknown of a Go runtime, alone and together, and the note that says so.
var unknowns = []struct {
	name   string
	forget func(*engine.GoRuntime)
	note   string
}{
	{"code", func(g *engine.GoRuntime) { g.TextLo, g.TextHi = 0, 0 }, "where Go's code lies is not known"},
	{"asyncPreempt", func(g *engine.GoRuntime) { g.Preempt = 0 }, "runtime.asyncPreempt is not known"},
	{"goroutine ids", func(g *engine.GoRuntime) { g.Goid, g.Parent = 0, 0 }, "goroutine ids are not known"},
	{"parents", func(g *engine.GoRuntime) { g.Parent = 0 }, "parents of goroutines are not known"},
	{"thread ids", func(g *engine.GoRuntime) { g.Machine, g.Thread = 0, 0 }, ""}, // the kernel tells them
	{"where threads keep g", func(g *engine.GoRuntime) { g.TLS = 0 }, ""},        // they are asked by signal
	{"frames", func(g *engine.GoRuntime) { g.Frames = false }, "stacks cannot be walked"},
	{"last words", func(g *engine.GoRuntime) { clear(g.Dying[:]) }, "does not name the profiler"},
	{"everything", func(g *engine.GoRuntime) { *g = engine.GoRuntime{} }, "goroutine ids are not known"},
}

// noTable is a function table that cannot be read.
func noTable() (*pclntab.Table, error) {
	return nil, fmt.Errorf("function table of /proc/self/exe: %w", pclntab.ErrLayout)
}

// Whatever is not known of the Go runtime: each touch is one fault, of the right page, thread and access, what is told
// beyond that is right too, and a note says what is not told.
func TestGoRuntimeUnknown(t *testing.T) {
	aside(t)
	for _, u := range unknowns {
		inChildren(t, "TestGoRuntimeUnknown", u.name, []string{"GOGC=10"}, func(t *testing.T) {
			forget = u.forget
			withUnknown(t, u.note)
		})
	}
	inChildren(t, "TestGoRuntimeUnknown", "function table", nil, func(t *testing.T) {
		functionTable, forget = noTable, func(*engine.GoRuntime) {}
		withUnknown(t, "callers of functions without a frame are missing from stacks")
	})
}

func withUnknown(t *testing.T, note string) {
	known := engine.MeasureGoRuntime(nil, false)
	forget(&known)
	p := newProfiler(t)
	if notes := p.Snapshot().Stats.Notes; note != "" && !slices.ContainsFunc(notes, func(n string) bool { return strings.Contains(n, note) }) {
		t.Errorf("no note has %q: %q", note, notes)
	}
	collecting(t)
	const goroutines, each = 4, 250
	a := newArena(t, p, "arena", goroutines*each*pageSize)
	var ids [goroutines]uint64
	var threads [goroutines]map[int32]bool
	var spans [goroutines]SpanStats
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			ids[g], threads[g] = goroutineID(), map[int32]bool{}
			s := p.StartSpan([16]byte{1}, [8]byte{byte(g + 1)})
			for i := range each {
				threads[g][int32(unix.Gettid())] = true
				callTouchKnown(a.Bytes()[(g*each+i)*pageSize:])
				threads[g][int32(unix.Gettid())] = true
			}
			spans[g] = s.End()
			s.Release()
		})
	}
	wg.Wait()
	s := p.Snapshot()
	checkSums(t, s)
	if len(s.Faults) != goroutines*each {
		t.Fatalf("%d faults, want %d", len(s.Faults), goroutines*each)
	}
	seen := map[int64]bool{}
	strangers, misnamed, walked := 0, 0, 0
	for _, f := range s.Faults {
		g := int(f.Offset) / pageSize / each
		if seen[f.Offset/int64(pageSize)] || f.Access != Write {
			t.Errorf("page %d: twice, or no write: %+v", f.Offset/int64(pageSize), f)
		}
		seen[f.Offset/int64(pageSize)] = true
		if !threads[g][f.Thread] {
			strangers++
		}
		if f.Goroutine != ids[g] && (f.Goroutine != 0 || known.Goid != 0) {
			misnamed++
		}
		switch frames := s.Frames(f.Stack); {
		case len(frames) > 1 && onStack(s, f.Stack, "touchKnown") && onStack(s, f.Stack, "callTouchKnown"):
			walked++
		case !known.Frames && len(s.stacks.get(f.Stack)) > 1:
			t.Errorf("a stack of %d functions, where no stack can be walked", len(s.stacks.get(f.Stack)))
		}
	}
	const few = goroutines * each / 20 // preempted at that moment: see TestGoroutinesUnderPreemption
	if strangers > few || known.Goid != 0 && misnamed > few || known.Goid == 0 && misnamed > 0 {
		t.Errorf("%d faults are of another thread, %d of another goroutine", strangers, misnamed)
	}
	if known.Frames && walked < len(s.Faults)-few || !known.Frames && walked > 0 {
		t.Errorf("%d of %d stacks lead to their goroutine", walked, len(s.Faults))
	}
	for g, got := range spans {
		if known.Goid != 0 && (got.Faults > each+few || got.Faults < each-few) || known.Goid == 0 && got.Faults != 0 {
			t.Errorf("span %d has %d faults of %d", g, got.Faults, each)
		}
	}
	if known.Goid == 0 && s.Stats.SpansDropped != goroutines {
		t.Errorf("%d spans without faults are counted, want %d", s.Stats.SpansDropped, goroutines)
	}
}

//go:noinline
func callTouchKnown(b []byte) int { return touchKnown(b) + len(b) }

//go:noinline
func touchKnown(b []byte) int { b[0] = 1; return 0 }

// The Go heap's faults tell less where the runtime is not known, and each of them is there.
func TestGoHeapOfUnknownRuntime(t *testing.T) {
	for _, c := range []struct {
		name     string
		forget   func(*engine.GoRuntime)
		function string // by which the collector is told, and that does not exist
		note     string
	}{
		{"frames", func(g *engine.GoRuntime) { g.Frames = false }, "", "who touches the Go heap is not known"},
		{"everything", func(g *engine.GoRuntime) { *g = engine.GoRuntime{} }, "", "who touches the Go heap is not known"},
		{"collector", func(g *engine.GoRuntime) {}, "runtime.gcOfTomorrow", "has no runtime.gcOfTomorrow"},
	} {
		inChild(t, "TestGoHeapOfUnknownRuntime", c.name, nil, func(t *testing.T) {
			forget = c.forget
			known := engine.GoRuntime{Frames: true}
			c.forget(&known)
			if c.function != "" {
				gcFunctions[c.function] = true
			}
			const n = 1 << 14
			h := heapList(n)
			pages := h.ownPages()
			p := newProfiler(t)
			r := attachHeap(t, p, WithHeapShare(1))
			rearm(t, r)
			if !walkHeap(h, n) {
				t.Fatal("the list is not what it was")
			}
			s := p.Snapshot()
			if !slices.ContainsFunc(s.Stats.Notes, func(n string) bool { return strings.Contains(n, c.note) }) {
				t.Errorf("no note has %q: %q", c.note, s.Stats.Notes)
			}
			m := touchesOf(s)
			missing := 0
			for page := range pages {
				if len(m[page]) == 0 {
					missing++
				}
			}
			if missing > 0 {
				t.Errorf("%d of %d pages of the list have no fault", missing, len(pages))
			}
			for _, f := range s.Faults {
				if f.Actor == ActorRuntime || !known.Frames && f.Actor == ActorProgram {
					t.Errorf("a fault of the heap is said to be %v's:%s", f.Actor, describe(s, []Fault{f}))
					break
				}
			}
			closeBusy(t, r.Close)
		})
	}
}

// A version of Go whose heap is not made of arenas as they are today, or that does not tell its size, is refused.
func TestGoHeapOfAnotherShape(t *testing.T) {
	inChild(t, "TestGoHeapOfAnotherShape", "all", nil, func(t *testing.T) {
		p := newProfiler(t)
		list, err := p.readMaps()
		if err != nil {
			t.Fatal(err)
		}
		if k := findHeap(list); k.arenas.other || len(k.arenas.order) == 0 {
			t.Errorf("as it is: %+v", k)
		}
		at := addressInHeap(16)
		lo := at / heapArena * heapArena
		for name, spoil := range map[string]func(m procMap) []procMap{
			"a part is not mapped": func(m procMap) []procMap { m.hi -= uintptr(pageSize); return []procMap{m} },
			"a part is somebody's memory": func(m procMap) []procMap {
				o := m
				m.hi -= 1 << 20
				o.lo, o.shared = m.hi, true
				return []procMap{m, o}
			},
			"a part has another's name": func(m procMap) []procMap {
				o := m
				m.hi -= 1 << 20
				o.lo, o.path = m.hi, "[anon: C]"
				return []procMap{m, o}
			},
			"a part is a file": func(m procMap) []procMap { o := m; m.hi -= 1 << 20; o.lo, o.inode = m.hi, 7; return []procMap{m, o} },
		} {
			var spoilt []procMap
			for _, m := range list {
				if m.lo < lo+heapArena && lo+heapArena <= m.hi { // its last mapping
					if rest := m; rest.hi > lo+heapArena {
						rest.lo = lo + heapArena
						spoilt = append(spoilt, rest)
						m.hi = lo + heapArena
					}
					spoilt = append(spoilt, spoil(m)...)
				} else {
					spoilt = append(spoilt, m)
				}
			}
			if k := findHeap(spoilt); k.all || k.has(lo, lo+heapArena) {
				t.Errorf("%s: it is taken for an arena: %+v", name, k)
			}
		}
		name := &heapMetrics[2]
		*name += "?"
		if k := findHeap(list); k.all {
			t.Error("all of the heap is said to be known without its size")
		}
		if _, err := p.AttachGoHeap(); !errors.Is(err, ErrNotSupported) || !strings.Contains(err.Error(), *name) && !p.Snapshot().Stats.UserModeOnly {
			t.Errorf("attach without its size: %v", err)
		}
		*name = strings.TrimSuffix(*name, "?")
		if !p.Snapshot().Stats.UserModeOnly { // by which the Go heap is refused
			attachHeap(t, p)
		}
	})
}
