// Command cgoheap arms the Go heap again and again while threads of C read and write memory of Go, and call
// back into Go. TestGoHeapWithC runs it.
package main

/*
#cgo LDFLAGS: -lpthread
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

extern uint64_t fromC(uint64_t);

static uint64_t sum(uint64_t *p, int n) {
	uint64_t s = 0;
	for (int i = 0; i < n; i++) s += p[i]++;
	return s;
}

static void *run(void *arg) {
	uint64_t *v = arg, s = 0;
	for (uint64_t i = 0; i < *v; i++) s += fromC(i);
	*v = s;
	return 0;
}

static uint64_t thread(uint64_t n) {
	pthread_t t;
	uint64_t *v = malloc(sizeof *v), s;
	*v = n;
	if (pthread_create(&t, 0, run, v) || pthread_join(t, 0)) abort();
	s = *v;
	free(v);
	return s;
}
*/
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/firsttouch/firsttouch/profiler"
)

//export fromC
func fromC(i C.uint64_t) C.uint64_t {
	b := make([]uint64, 64+i%64)
	for j := range b {
		b[j] = uint64(i)
	}
	return C.uint64_t(b[len(b)-1])
}

func main() {
	p, err := profiler.New(profiler.WithFailingSystemCalls())
	check(err)
	r, err := p.AttachGoHeap(profiler.WithHeapShare(1))
	check(err)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			const n = 1 << 15
			b := make([]uint64, n)
			for round := uint64(0); !stop.Load(); round++ {
				if got := uint64(C.sum((*C.uint64_t)(unsafe.Pointer(&b[0])), n)); got != round*n {
					check(fmt.Errorf("C found %d in round %d, want %d", got, round, round*n))
				}
			}
		})
		wg.Go(func() {
			for !stop.Load() {
				if got := uint64(C.thread(200)); got != 199*200/2 {
					check(fmt.Errorf("a thread of C got %d", got))
				}
			}
		})
	}
	for range 30 {
		check(r.Rearm())
		runtime.GC()
	}
	stop.Store(true)
	wg.Wait()
	check(r.Close())
	s := p.Snapshot().Stats
	check(p.Close())
	if s.ResolveErrs != 0 || s.Faults == 0 {
		check(fmt.Errorf("%d faults, %d failed", s.Faults, s.ResolveErrs))
	}
	fmt.Println("as it should be")
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
