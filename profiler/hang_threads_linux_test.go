//go:build linux && (amd64 || arm64)

package profiler

import (
	"runtime"
	"sync"
	"testing"
)

// crews are what goroutines and threads do around a touch. Each touches every page of a, and may use
// the ways of touching.
var crews = []struct {
	name string
	run  func(t *testing.T, a *armed, touch func(a *armed, lo, hi int) error)
}{
	{"goroutine churn", crewChurn},
	{"deep stacks", crewDeep},
	{"threads that exit", crewExit},
	{"64 goroutines on one page", crewOnePage},
	{"2,000 goroutines on one page", crewThousands},
}

// However goroutines and threads come and go around their touches, all of them finish.
func TestNoCrewHangs(t *testing.T) {
	aside(t)
	for _, c := range crews {
		inChildren(t, "TestNoCrewHangs", c.name, []string{"GOGC=1"}, func(t *testing.T) {
			p := newProfiler(t)
			duringCollections(t, p, 800, func(a *armed) { c.run(t, a, hangMixed(p)) })
		})
	}
}

// crewChurn has a goroutine of its own for each page.
func crewChurn(t *testing.T, a *armed, touch func(a *armed, lo, hi int) error) {
	gate := make(chan struct{}, 32)
	var wg sync.WaitGroup
	for lo := 0; lo < len(a.memory); lo += pageSize {
		gate <- struct{}{}
		wg.Go(func() {
			if err := touch(a, lo, lo+pageSize); err != nil {
				t.Error(err)
			}
			<-gate
		})
	}
	wg.Wait()
}

// crewDeep touches at the bottom of stacks that grow and, by garbage collections, shrink.
func crewDeep(t *testing.T, a *armed, touch func(a *armed, lo, hi int) error) {
	a.spread(t, 8, func(a *armed, lo, hi int) error {
		return descend(lo/pageSize/chunk*7%400, func() error { return touch(a, lo, hi) })
	})
}

//go:noinline
func descend(depth int, f func() error) error {
	var room [256]byte
	room[depth%len(room)] = 1
	if depth == 0 {
		return f()
	}
	err := descend(depth-1, f)
	if room[depth%len(room)] != 1 {
		panic("a frame changed")
	}
	return err
}

// crewExit ends a thread after each of its touches.
func crewExit(t *testing.T, a *armed, touch func(a *armed, lo, hi int) error) {
	a.spread(t, 8, func(a *armed, lo, hi int) error {
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with its goroutine
			done <- touch(a, lo, hi)
		}()
		return <-done
	})
}

// crewOnePage has 64 goroutines touch each page at once, reading only.
func crewOnePage(t *testing.T, a *armed, touch func(a *armed, lo, hi int) error) {
	for lo := 0; lo < len(a.memory); lo += pageSize {
		start := make(chan struct{})
		var wg sync.WaitGroup
		for g := range 64 {
			way := [...]func(a *armed, lo, hi int) error{hangLoad, hangCopy, hangCompare}[g%3]
			wg.Go(func() {
				<-start
				if err := way(a, lo, lo+pageSize); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		wg.Wait()
	}
}

// crewThousands has 2,000 goroutines touch one page at once, by system calls too where these are served:
// each of those keeps a thread in the kernel. Some pages are touched so, the others as usual.
func crewThousands(t *testing.T, a *armed, touch func(a *armed, lo, hi int) error) {
	const goroutines, crowds = 2000, 12
	for crowd := range crowds {
		way := touch // by chunk, so the same for all
		if row := hangRows[crowd%len(hangRows)]; row.name == "clear" || row.name == "read(2)" {
			way = hangLoad // these write what the others compare
		}
		lo := crowd * chunk * pageSize
		start := make(chan struct{})
		var wg sync.WaitGroup
		for range goroutines {
			wg.Go(func() {
				<-start
				if err := way(a, lo, lo+pageSize); err != nil {
					t.Errorf("crowd %d: %v", crowd, err)
				}
			})
		}
		close(start)
		wg.Wait()
	}
	for lo := 0; lo < len(a.memory); lo += pageSize {
		if err := touch(a, lo, lo+pageSize); err != nil {
			t.Error(err)
		}
	}
}
