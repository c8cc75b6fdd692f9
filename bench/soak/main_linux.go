//go:build linux && (amd64 || arm64)

// Command soak drives every kind of memory, with both deliveries, at once for a long time, and checks contents and
// counts all the time.
//
//	go run ./bench/soak -minutes 20
//
// An arena, memory that existed before, with all touches observed and with writes alone, a file that the profiler
// maps, one that is attached, shared memory, huge pages where there are some, and the Go heap are touched by
// goroutines that know what every page holds, while garbage is collected, processes are started, snapshots are
// taken, and the memory is armed again, window after window. In each window every page of every region has to
// fault exactly once; of the Go heap nobody knows what is touched, so there only the sums are checked. A second
// process does so with delivery by signal, for the memory that can have it. It ends with a summary, and with exit
// code 1 at the first thing that is not as it should be.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

func main() {
	log.SetFlags(log.Ltime)
	minutes := flag.Float64("minutes", 20, "how long")
	pages := flag.Int("pages", 4000, "pages of each region")
	delivery := flag.String("delivery", "both", "thread, signal, or both, which has a process for each")
	flag.Parse()
	d := profiler.DeliveryThread
	switch *delivery {
	case "both":
		other := exec.Command(os.Args[0], "-delivery", "signal", "-minutes", fmt.Sprint(*minutes), "-pages", fmt.Sprint(*pages))
		other.Stdout, other.Stderr = os.Stdout, os.Stderr
		other.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		runtime.LockOSThread() // Pdeathsig is the end of this thread
		check(other.Start())
		ended := make(chan struct{})
		go func() {
			check(other.Wait()) // ends both when it fails
			close(ended)
		}()
		soak(d, *minutes, *pages)
		<-ended
		return
	case "signal":
		d = profiler.DeliverySignal
	case "thread":
	default:
		log.Fatalf("soak: -delivery %q: choose thread, signal or both", *delivery)
	}
	soak(d, *minutes, *pages)
}

func soak(d profiler.Delivery, minutes float64, pages int) {
	log.SetPrefix("by " + d.String() + ": ")
	p, err := profiler.New(profiler.WithRescan(10*time.Millisecond), profiler.WithLogLimit(1<<16), profiler.WithDelivery(d), profiler.WithFailingSystemCalls(), profiler.WithStopLimit(10*time.Second))
	check(err)
	dir, err := os.MkdirTemp("", "firsttouch-soak")
	check(err)
	regions, err := regions(p, d, dir, pages)
	os.RemoveAll(dir) // unlinked files are what they were
	check(err)
	end := disturb(p)
	began, windows, busy := time.Now(), 0, 0
	for next := began; time.Since(began).Minutes() < minutes; windows++ {
		before := settled(p)
		check(touch(regions))
		after := settled(p)
		for _, r := range regions {
			if err := r.counted(before, after); err != nil {
				explain(after)
				check(err)
			}
		}
		if time.Now().After(next) {
			next = time.Now().Add(time.Minute)
			report(p, windows+1, busy)
		}
		for _, r := range regions {
			err := r.region.Rearm()
			for ; errors.Is(err, profiler.ErrBusy); err = r.region.Rearm() {
				busy++
			}
			check(err)
		}
	}
	end()
	check(touch(regions))
	report(p, windows, busy)
	err = p.Close()
	for try := 0; try < 100 && errors.Is(err, profiler.ErrBusy); try++ {
		err = p.Close()
	}
	check(err)
	check(touch(regions)) // plain memory holds the same
	fmt.Printf("soak: delivery by %v: %d windows of %d regions in %v: every page once in each, contents intact, nothing lost\n",
		d, windows, len(regions), time.Since(began).Round(time.Second))
}

// explain shows what else is known of a window that is not as it should be.
func explain(s *profiler.Snapshot) {
	log.Printf("%+v", s.Stats)
	for _, e := range s.Events {
		log.Printf("%+v", e)
	}
}

// settled is a snapshot with every fault. One alone waits for a second: on a busy machine a thread of the engine may get
// no processor for longer, between making a page accessible and saying so.
func settled(p *profiler.Profiler) *profiler.Snapshot {
	for deadline := time.Now().Add(time.Minute); p.Stalled() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			check(fmt.Errorf("%d faults are not resolved after a minute", p.Stalled()))
		}
	}
	return p.Snapshot()
}

// check ends everything at the first thing that is wrong.
func check(err error) {
	if err != nil {
		log.Fatal("soak: FAILED: ", err)
	}
}

func report(p *profiler.Profiler, windows, busy int) {
	s := p.Snapshot().Stats
	check(sums(s))
	log.Printf("%d windows, %d faults from %d messages, %d stacks and %d missed, %d dropped, %d times too busy to be armed; %v of processor time",
		windows, s.Faults, s.Messages, s.Stacks, s.StacksMissed, s.Dropped, busy, s.Overhead.Round(time.Millisecond))
}

func sums(s profiler.Stats) error {
	if s.Faults != s.Records+s.Dropped || s.ResolveErrs != 0 || s.Messages < s.Faults {
		return fmt.Errorf("%+v", s)
	}
	return nil
}

// touch has goroutines touch every page of every region at once, each its own pages in an order of its own.
func touch(regions []*region) error {
	var wg sync.WaitGroup
	var first atomic.Pointer[error]
	for _, r := range regions {
		for g := range goroutines {
			wg.Go(func() {
				if err := r.pass(g); err != nil {
					first.CompareAndSwap(nil, &err)
				}
			})
		}
	}
	wg.Wait()
	if e := first.Load(); e != nil {
		return *e
	}
	return nil
}

// disturb does what goes on in services: garbage, processes, snapshots.
func disturb(p *profiler.Profiler) (end func()) {
	var over atomic.Bool
	var wg sync.WaitGroup
	for _, f := range []func(){
		runtime.GC,
		func() { check(exec.Command("true").Run()) },
		func() { check(sums(p.Snapshot().Stats)); time.Sleep(5 * time.Millisecond) },
		func() { runtime.GOMAXPROCS(1 + int(time.Now().UnixNano()%8)); time.Sleep(50 * time.Millisecond) },
	} {
		wg.Go(func() {
			for !over.Load() {
				f()
			}
		})
	}
	return func() {
		over.Store(true)
		wg.Wait()
	}
}
