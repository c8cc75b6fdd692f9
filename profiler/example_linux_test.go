//go:build linux && (amd64 || arm64)

package profiler_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// An arena is memory that is observed from its first touch on. Delivery by signal needs no privilege; system calls that
// are handed memory not yet touched fail with it, which is why it has to be allowed.
func Example() {
	p, err := profiler.New(profiler.WithDelivery(profiler.DeliverySignal), profiler.WithFailingSystemCalls())
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	page := os.Getpagesize()
	cache, err := p.NewArena("cache", 16*page)
	if err != nil {
		log.Fatal(err)
	}
	defer cache.Close()

	memory := cache.Bytes()
	memory[0], memory[1], memory[5*page] = 1, 1, 1 // two pages

	s := p.Snapshot()
	fmt.Println("first touches:", s.Region("cache").Faults)
	fmt.Println("pages touched:", s.Region("cache").Touched/int64(page))
	// Output:
	// first touches: 2
	// pages touched: 2
}

// A file that other code maps, such as a database, is observed where it is mapped, also when that is later.
func ExampleProfiler_AttachFile() {
	p, err := profiler.New(profiler.WithDelivery(profiler.DeliveryAuto), profiler.WithStacks(profiler.StacksPerSecond(1000)), profiler.WithBudget("1%"))
	if errors.Is(err, profiler.ErrNotSupported) {
		log.Printf("the service runs without a profile: %v", err)
		return
	} else if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	index, err := p.AttachFile("/var/lib/app/index.db")
	if err != nil {
		log.Fatal(err)
	}
	defer index.Close()

	time.Sleep(time.Minute) // the service works

	s := p.Snapshot()
	for _, f := range s.Faults { // in the order of the touches
		fmt.Printf("offset %d, after %v, by goroutine %d\n", f.Offset, f.Time-s.StartMono, f.Goroutine)
		for _, frame := range s.Frames(f.Stack) {
			fmt.Println("\t", frame.Function)
		}
	}
}

// Windows arm a region again and again, so that they show what is in use now.
func ExampleWindows() {
	p, err := profiler.New()
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	index, err := p.AttachFile("/var/lib/app/index.db")
	if err != nil {
		log.Fatal(err)
	}
	windows := p.NewWindows(index)
	defer windows.Close()
	for range time.Tick(10 * time.Second) {
		list, err := windows.Next()
		if err != nil {
			log.Print(err) // the windows that it concerns say it, too
		}
		for _, w := range list {
			if w.Err == nil {
				fmt.Printf("%d bytes used in the last 10 s\n", w.Touched)
			}
		}
	}
}
