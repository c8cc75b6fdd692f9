// Program builds checks what the profiler says of its own touches, in whatever way it was built: see TestBuildsOfAllKinds.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/firsttouch/firsttouch/profiler"
)

func main() { os.Exit(run()) }

func run() int {
	for _, d := range []profiler.Delivery{profiler.DeliveryThread, profiler.DeliverySignal} {
		if err := check(d); errors.Is(err, profiler.ErrNotSupported) {
			fmt.Println("not supported:", err)
		} else if err != nil {
			fmt.Printf("%v: %v\n", d, err)
			return 1
		}
	}
	fmt.Println("as it should be")
	return 0
}

const (
	page       = 4096
	goroutines = 4
	each       = 50
)

func check(d profiler.Delivery) (err error) {
	p, err := profiler.New(profiler.WithDelivery(d), profiler.WithFailingSystemCalls())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	for _, n := range p.Snapshot().Stats.Notes {
		if strings.Contains(n, "version of Go") || strings.Contains(n, "functions without a frame") {
			return fmt.Errorf("note: %s", n)
		}
	}
	a, err := p.NewArena("arena", goroutines*each*page)
	if err != nil {
		return err
	}
	defer a.Close()
	ends := make(chan profiler.SpanStats)
	for g := range goroutines {
		go func() {
			s := p.StartSpan([16]byte{1}, [8]byte{byte(g + 1)})
			for i := range each {
				outer(a.Bytes()[(g*each+i)*page:])
			}
			ends <- s.End()
			s.Release()
		}()
	}
	ofSpans := 0
	for range goroutines {
		ofSpans += int((<-ends).Faults)
	}
	s := p.Snapshot()
	told, of := 0, map[uint64]bool{}
	for _, f := range s.Faults {
		frames := s.Frames(f.Stack)
		if len(frames) > 2 && strings.HasSuffix(frames[0].Function, ".touch") && strings.HasSuffix(frames[1].Function, ".outer") && f.Access == profiler.Write {
			told++
		}
		of[f.Goroutine] = true
	}
	const want = goroutines * each
	const few = want / 20 // preempted meanwhile
	if len(s.Faults) != want || told < want-few || ofSpans < want-few || len(of) < goroutines || len(of) > goroutines+1 {
		return fmt.Errorf("%d faults, %d with their stack, %d in spans, of %d goroutines; want %d of %d", len(s.Faults), told, ofSpans, len(of), want, goroutines)
	}
	if d == profiler.DeliveryThread {
		return checkHeap(p)
	}
	return nil
}

// checkHeap has the garbage collector touch a list.
func checkHeap(p *profiler.Profiler) error {
	type node struct {
		next *node
		v    [15]uint64
	}
	var list *node
	for i := range 1 << 14 {
		list = &node{next: list, v: [15]uint64{uint64(i)}}
	}
	r, err := p.AttachGoHeap(profiler.WithHeapShare(1))
	if err != nil {
		return err
	}
	runtime.GC()
	s := p.Snapshot()
	by := map[profiler.Actor]int{}
	for _, f := range s.Faults {
		if f.Region == r.ID() {
			by[f.Actor]++
		}
	}
	n := 0
	for e := list; e != nil; e = e.next {
		n++
	}
	if err := r.Close(); err != nil {
		return err
	}
	if by[profiler.ActorGC] < n/64 || by[profiler.ActorUnknown] > by[profiler.ActorGC]/10 || n != 1<<14 {
		return fmt.Errorf("a list of %d nodes on %d pages: faults by actor %v", n, n/32, by)
	}
	return nil
}

//go:noinline
func outer(b []byte) int { touch(b); return len(b) }

//go:noinline
func touch(b []byte) { b[0] = 1 }
