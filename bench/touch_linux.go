//go:build linux && (amd64 || arm64)

package bench

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// load is what is touched.
type load struct {
	write      bool
	pages      int // touched, over all goroutines
	stride     int // pages from one touch to the next
	goroutines int
}

// size is how many bytes a load reaches over.
func (l load) size() int { return l.pages * l.stride * pageSize }

// result is the outcome of one variant in one round.
type result struct {
	perPage float64 // ns for each page touched
	mallocs float64 // heap allocations of the whole process for each page touched
	skip    string  // why there is no result
}

// touchFresh is touch for anonymous memory, where a page for each write has to be found. Before, each goroutine
// writes to as much plain memory and gives the pages back, so that it gets these: they are in its processor's caches,
// and the host of a virtual machine has memory for them. Otherwise each variant would have what another one left,
// and that changes what a plain first write takes by a half. Reads get the kernel's one page of zeros.
func touchFresh(b []byte, l load) (result, error) {
	if !l.write {
		return touch(b, nil, l), nil
	}
	spare, err := mapArena(l.size())
	if err != nil {
		return result{}, err
	}
	defer unix.Munmap(spare)
	return touch(b, spare, l), nil
}

// touch makes a load's touches in b, each goroutine in a part of its own. The clock runs from the
// first touch to the last, and what is done to spare, if not nil, comes before.
func touch(b, spare []byte, l load) result {
	share := l.pages / l.goroutines
	began, ended := make([]time.Time, l.goroutines), make([]time.Time, l.goroutines)
	start, done := make(chan struct{}), make(chan struct{}, l.goroutines)
	var ready sync.WaitGroup
	ready.Add(l.goroutines)
	for i := range l.goroutines {
		part := b[i*share*l.stride*pageSize:][:share*l.stride*pageSize]
		go func() {
			<-start
			if spare != nil {
				at := spare[i*len(part):][:len(part)]
				store(at, pageSize)
				unix.Madvise(at, unix.MADV_DONTNEED) // of memory that is ours it cannot fail
			}
			ready.Done()
			ready.Wait()
			began[i] = time.Now()
			if l.write {
				store(part, l.stride*pageSize)
			} else {
				fetch(part, l.stride*pageSize)
			}
			ended[i] = time.Now()
			done <- struct{}{}
		}()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	close(start)
	for range l.goroutines {
		<-done
	}
	runtime.ReadMemStats(&after)
	first := slices.MinFunc(began, time.Time.Compare)
	last := slices.MaxFunc(ended, time.Time.Compare)
	n := float64(share * l.goroutines)
	return result{
		perPage: float64(last.Sub(first)) / n,
		mallocs: float64(after.Mallocs-before.Mallocs) / n,
	}
}

// store writes one byte in every step.
//
//go:noinline
func store(b []byte, step int) {
	for i := 0; i < len(b); i += step {
		b[i] = 1
	}
}

// fetch reads one byte in every step. The sum keeps the compiler from leaving the reads out.
//
//go:noinline
func fetch(b []byte, step int) (sum byte) {
	for i := 0; i < len(b); i += step {
		sum += b[i]
	}
	return sum
}
