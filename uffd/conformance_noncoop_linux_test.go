package uffd

import (
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"golang.org/x/sys/unix"
)

// conformNonCooperative has three threads touch pages while others discard, fork and move them: what was discarded is
// never seen again, what was not is never lost, and nobody waits for ever. The handler is the one that package uffd
// describes under "Events".
func conformNonCooperative(t *testing.T, kind MemoryKind) {
	features := FeatureEventRemap | FeatureEventRemove | FeatureEventUnmap
	needs(t, features)
	if err := mayMoveAndDiscard(t, kind); err != nil {
		t.Skip(err)
	}
	err := mayFollowForks()
	if err == nil {
		features |= FeatureEventFork
	} else {
		leaveOut(t, "forks", err)
	}
	// A goroutine that waits for a page by a load keeps its processor in Go's sense of the word.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(16))
	rounds := testproc.Times(12, 400)
	if (area{kind: kind}).huge() {
		rounds = testproc.Times(4, 50)
	}
	for round := range rounds {
		r := newRaces(t, kind, features)
		r.run()
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

// view is the memory of one process and its handler.
type view struct {
	r        *races
	fd       *FD
	pages    map[Addr]int // which of the pages of the area is where
	holds    []byte       // what a page holds where it is missing
	fill     []byte       // a page, used again: nothing is collected in a cell
	deferred []Msg
	ended    chan struct{}
}

// races is one round.
type races struct {
	t         *testing.T
	a         area
	parent    *view
	discarded []atomic.Bool // the discard of this page has returned
	next      atomic.Int32  // the page that goes next, which they would rather touch
	moved     atomic.Bool   // set before the move: what is read at the old place after that means nothing

	gate     sync.Mutex // held over each batch, by all handlers: shared memory is everybody's
	children []*view
}

func newRaces(t *testing.T, kind MemoryKind, features Features) *races {
	t.Helper()
	pages := 64
	if (area{kind: kind}).huge() {
		pages = 4
	}
	r := &races{t: t, a: newArea(t, kind, pages), discarded: make([]atomic.Bool, pages)}
	if !r.a.huge() {
		_ = unix.Madvise(r.a.mem, unix.MADV_NOHUGEPAGE) // where there are none, they are not advised against
	}
	fd := r.a.open(t, WithFeatures(features))
	register(t, fd, r.a.mem, ModeMissing)
	r.parent = &view{r: r, fd: fd, pages: map[Addr]int{}, fill: r.a.pattern(0), ended: make(chan struct{})}
	for n := range pages {
		r.parent.pages[r.a.pageRange(n).Start] = n
		r.parent.holds = append(r.parent.holds, byte(n+1))
	}
	go r.parent.serve()
	return r
}

// stop ends a handler whose process waits for nothing any more.
func (v *view) stop() {
	noErr(v.r.t, "deadline", v.fd.SetReadDeadline(time.Unix(1, 0)))
	<-v.ended
	noErr(v.r.t, "close", v.fd.Close())
}

func (v *view) serve() {
	defer close(v.ended)
	msgs := make([]Msg, 16)
	for {
		if len(v.deferred) > 0 {
			time.Sleep(20 * time.Microsecond) // a wait for a message might be one for ever
		} else if err := v.fd.Wait(); errors.Is(err, os.ErrDeadlineExceeded) {
			return
		} else if err != nil {
			v.r.t.Errorf("wait: %v", err)
			return
		}
		v.r.gate.Lock()
		n, err := v.fd.TryRead(msgs)
		noErr(v.r.t, "read", err)
		v.handle(msgs[:n])
		v.r.gate.Unlock()
	}
}

// handle takes the events of a batch first, then what was deferred, then the faults.
func (v *view) handle(msgs []Msg) {
	for i := range msgs {
		if !msgs[i].IsPagefault() {
			v.apply(&msgs[i])
		}
	}
	again := v.deferred
	v.deferred = nil
	for _, m := range again {
		v.fault(m)
	}
	for _, m := range msgs {
		if m.IsPagefault() {
			v.fault(m)
		}
	}
}

func (v *view) apply(m *Msg) {
	t := v.r.t
	switch m.Event {
	case EventRemove:
		for at, n := range v.pages {
			if m.Removed().Contains(at) {
				v.holds[n] = 0
			}
		}
	case EventUnmap:
		maps.DeleteFunc(v.pages, func(at Addr, _ int) bool { return m.Removed().Contains(at) })
		noErr(t, "wake", v.fd.Wake(m.Removed()))
	case EventRemap:
		from, to := m.Remap()
		for at, n := range maps.Clone(v.pages) {
			if from.Contains(at) {
				delete(v.pages, at)
				v.pages[at-from.Start+to] = n
			}
		}
		noErr(t, "wake", v.fd.Wake(from))
	case EventFork:
		fd, err := v.fd.Forked(m)
		if err != nil {
			t.Errorf("forked: %v", err)
			return
		}
		child := &view{r: v.r, fd: fd, pages: maps.Clone(v.pages), holds: v.holds, fill: v.r.a.pattern(0), ended: make(chan struct{})}
		if v.r.a.private() {
			child.holds = slices.Clone(v.holds)
		}
		v.r.children = append(v.r.children, child)
		go child.serve()
	}
}

func (v *view) fault(m Msg) {
	page := v.r.a.pageAt(&m)
	err := ErrNotRegistered
	if n, ok := v.pages[page.Start]; ok {
		v.fill[0] = v.holds[n]
		_, err = v.fd.Copy(page.Start, v.fill, 0)
	}
	switch {
	case errors.Is(err, ErrAgain):
		v.deferred = append(v.deferred, m)
	case errors.Is(err, ErrNotRegistered): // it went: the thread finds out by itself
		noErr(v.r.t, "wake", v.fd.Wake(page))
	default:
		noErr(v.r.t, "fill", err)
	}
}

func (r *races) run() {
	var touchers, others sync.WaitGroup
	enough := make(chan struct{})
	var touches atomic.Int64
	for range 3 {
		touchers.Go(func() {
			for {
				select {
				case <-enough:
					return
				default:
					r.touch()
					touches.Add(1)
					runtime.Gosched()
				}
			}
		})
	}
	first := make(chan struct{})
	others.Go(func() {
		for n := range r.a.pages() / 2 {
			r.next.Store(int32(n))
			time.Sleep(20 * time.Microsecond) // so that some wait for it when it goes
			if err := unix.Madvise(r.a.page(n), r.a.discard()); err != nil {
				r.t.Errorf("madvise: %v", err)
			}
			r.discarded[n].Store(true)
			if n == 0 {
				close(first)
			}
		}
	})
	others.Go(func() {
		if !r.parent.fd.Enabled().Has(FeatureEventFork) {
			return
		}
		<-first
		for range 2 {
			child := forkChild(r.t, r.childSteps()...)
			child.end(r.t)
		}
	})
	others.Wait()
	to := r.a.hole(r.t)
	r.moved.Store(true)
	if errno := rawRemap(r.a.rng(), to); errno != 0 {
		r.t.Errorf("mremap: %v", errno)
	}
	close(enough)
	touchers.Wait()
	there := r.a // a copy: the handler reads r.a
	there.mem = bytesAt(Range{to, to + Addr(len(r.a.mem))})
	for n := range there.pages() {
		if got, want := there.page(n)[0], r.finally(n); got != want {
			r.t.Errorf("page %d holds %d at its new place, want %d", n, got, want)
		}
	}
	there.unmap(r.t)
	r.gate.Lock()
	left, children := len(r.parent.pages), r.children
	r.gate.Unlock()
	if left > 0 {
		r.t.Errorf("%d pages are left after the unmapping", left)
	}
	for _, v := range append(children, r.parent) {
		v.stop()
	}
}

// finally is what a page holds in the end.
func (r *races) finally(n int) byte {
	if n < r.a.pages()/2 {
		return 0
	}
	return byte(n + 1)
}

// touch reads a page, as long as it is where it was.
func (r *races) touch() {
	n := int(r.next.Load())
	if rand.IntN(2) == 0 {
		n = rand.IntN(r.a.pages())
	}
	gone := r.discarded[n].Load()
	var got byte
	if !comesThrough(func() { got = r.a.page(n)[0] }) || r.moved.Load() {
		return
	}
	if got != r.finally(n) && (gone || got != byte(n+1)) {
		r.t.Errorf("page %d holds %d; its discard had returned: %v", n, got, gone)
	}
}

// childSteps looks at what the child has to have: what was discarded before the fork reads as zeros, what never was is
// as it was. Where it has the memory for itself, it discards some, too.
func (r *races) childSteps() []step {
	half := r.a.pages() / 2
	steps := []step{stepLoad(r.a.pageRange(0).Start, 0), stepLoad(r.a.pageRange(half).Start, byte(half+1))}
	if r.a.private() {
		last := r.a.pageRange(half + 1)
		steps = append(steps, stepAdvise(last, unix.MADV_DONTNEED), stepLoad(last.Start, 0))
	}
	return append(steps, stepLoad(r.a.pageRange(half).Start, byte(half+1)))
}
