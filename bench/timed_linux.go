//go:build linux && (amd64 || arm64)

package bench

import (
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// observation is what one observer saw of one cell, in one round.
type observation struct {
	PerPage float64 // ns for each page touched, from the first touch to the last
	Median  float64 // ns of a touch that was the first of its granule, as its goroutine saw it
	P99     float64
	Seen    int     // faults that the observer recorded
	CPU     float64 // ns of processor time for each page: the touching process and the observer
	Skip    string  // why there is nothing
}

// touchTimed makes a cell's touches and times each.
func touchTimed(b []byte, c cell) (o observation) {
	l := c.load()
	orders, firsts := make([][]int, l.goroutines), make([][]bool, l.goroutines)
	took := make([][]time.Duration, l.goroutines)
	for i := range l.goroutines {
		orders[i], firsts[i] = c.order(i)
		took[i] = make([]time.Duration, len(orders[i]))
	}
	began, ended := make([]time.Time, l.goroutines), make([]time.Time, l.goroutines)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range l.goroutines {
		all.Go(func() {
			<-start
			began[i] = time.Now()
			if l.write {
				storeTimed(b, orders[i], took[i])
			} else {
				fetchTimed(b, orders[i], took[i])
			}
			ended[i] = time.Now()
		})
	}
	before := processorTime()
	close(start)
	all.Wait()
	o.CPU = float64(processorTime()-before) / float64(l.pages)
	o.PerPage = float64(slices.MaxFunc(ended, time.Time.Compare).Sub(slices.MinFunc(began, time.Time.Compare))) / float64(l.pages)
	var times []float64
	for i := range took {
		for k, d := range took[i] {
			if firsts[i][k] {
				times = append(times, float64(d))
			}
		}
	}
	o.Median, o.P99 = quantile(times, .5), quantile(times, .99)
	return o
}

//go:noinline
func storeTimed(b []byte, pages []int, took []time.Duration) {
	for i, page := range pages {
		start := time.Now()
		b[page*pageSize] = 1
		took[i] = time.Since(start)
	}
}

//go:noinline
func fetchTimed(b []byte, pages []int, took []time.Duration) (sum byte) {
	for i, page := range pages {
		start := time.Now()
		sum += b[page*pageSize]
		took[i] = time.Since(start)
	}
	return sum
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err) // of oneself it cannot fail
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
