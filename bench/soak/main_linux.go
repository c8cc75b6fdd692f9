//go:build linux && (amd64 || arm64)

// Command soak drives every kind of memory at once for a long time, and checks contents and counts all the time.
//
//	go run ./bench/soak -minutes 20
//
// An arena, memory that existed before, a file that the profiler maps, one that is attached, and shared memory are
// touched by goroutines that know what every page holds, while garbage is collected, processes are started, snapshots
// are taken, and the memory is armed again, window after window. In each window every page of every region has to
// fault exactly once. It ends with a summary, and with exit code 1 at the first thing that is not as it should be.
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
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

func main() {
	log.SetFlags(log.Ltime)
	minutes := flag.Float64("minutes", 20, "how long")
	pages := flag.Int("pages", 4000, "pages of each region")
	flag.Parse()
	p, err := profiler.New(profiler.WithRescan(10*time.Millisecond), profiler.WithLogLimit(1<<16))
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "firsttouch-soak")
	if err != nil {
		log.Fatal(err)
	}
	regions, err := regions(p, dir, *pages)
	os.RemoveAll(dir) // unlinked files are what they were
	if err != nil {
		log.Fatal(err)
	}
	end := disturb(p)
	began, windows, busy := time.Now(), 0, 0
	for next := began; time.Since(began).Minutes() < *minutes; windows++ {
		before := p.Snapshot()
		check(touch(regions))
		after := p.Snapshot()
		for _, r := range regions {
			check(r.counted(before, after))
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
	fmt.Printf("soak: %d windows of %d pages in %d regions in %v: every page once in each, contents intact, nothing lost\n",
		windows, *pages, len(regions), time.Since(began).Round(time.Second))
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
