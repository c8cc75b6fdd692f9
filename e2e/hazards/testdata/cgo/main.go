// Cgo has threads that C made, with all signals blocked, and a plugin touch an arena and a file, and checks what they
// read, what is counted, and what the profiler says of stacks that it could not have.
//
//	cgo PLUGIN FILE
package main

/*
#include <pthread.h>
#include <signal.h>
#include <stddef.h>

struct work { volatile unsigned char *memory; size_t size, page, first, step; long sum; };

static void *touch(void *arg) {
	struct work *w = arg;
	sigset_t all;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	for (size_t i = w->first * w->page; i < w->size; i += w->step * w->page) {
		w->sum += w->memory[i];
		w->memory[i] = 1;
	}
	return NULL;
}

// Returns the sum of the first bytes of all pages, which threads of C's read and set to 1.
static long touch_all(void *memory, size_t size, size_t page) {
	enum { threads = 8 };
	pthread_t t[threads];
	struct work w[threads];
	long sum = 0;
	for (int i = 0; i < threads; i++) {
		w[i] = (struct work){memory, size, page, i, threads, 0};
		if (pthread_create(&t[i], NULL, touch, &w[i]) != 0) return -1;
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(t[i], NULL);
		sum += w[i].sum;
	}
	return sum;
}
*/
import "C"

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"plugin"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
)

const pages = 4000

var page = os.Getpagesize()

func main() {
	log.SetFlags(0)
	p, err := profiler.New(profiler.WithFailingSystemCalls(), profiler.WithStopLimit(10*time.Second))
	if err != nil {
		testproc.Tell(err, profiler.ErrNotSupported)
		return
	}
	lib, err := plugin.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	symbol, err := lib.Lookup("Sum")
	if err != nil {
		log.Fatal(err)
	}
	sum := symbol.(func([]byte, int) int)
	arena, err := p.NewArena("arena", pages*page)
	if err != nil {
		log.Fatal(err)
	}
	file := mapFile(os.Args[2])
	attached, err := p.AttachFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		for {
			select {
			case <-over:
				return
			default:
				runtime.GC()
			}
		}
	}()
	for name, m := range map[string][]byte{"arena": arena.Bytes(), "file": file} {
		want := C.long(0)
		if name == "file" {
			want = 2 * pages
		}
		if n := C.touch_all(unsafe.Pointer(&m[0]), C.size_t(len(m)), C.size_t(page)); n != want {
			log.Fatalf("%s: threads of C's read %d, want %d", name, n, want)
		}
		if n := sum(m, page); n != pages {
			log.Fatalf("%s: the plugin read %d, want %d", name, n, pages)
		}
	}
	if err := attached.Rearm(); err != nil {
		log.Fatal(err)
	}
	if n := sum(file, page); n != pages {
		log.Fatalf("the plugin read %d, want %d", n, pages)
	}
	close(over)
	s := p.Snapshot()
	if st := s.Stats; st.Faults != 3*pages || st.Dropped != 0 || st.ResolveErrs != 0 || st.Stacks+st.StacksMissed != st.Faults {
		log.Fatalf("%+v", st)
	}
	if err := p.Close(); err != nil {
		log.Fatal(err)
	}
	if n := sum(file, page); n != pages || !bytes.Equal(file[1:page], bytes.Repeat([]byte{2}, page-1)) {
		log.Fatal("the file changed")
	}
	fmt.Printf("seen: %d faults, %d of them by a plugin and the others by threads of C's with all signals blocked; %d stacks, %d missed, contents intact\n",
		s.Stats.Faults, pages, s.Stats.Stacks, s.Stats.StacksMissed)
	testproc.Tell(nil, profiler.ErrNotSupported)
}

// mapFile maps a new file of twos.
func mapFile(path string) []byte {
	if err := os.WriteFile(path, bytes.Repeat([]byte{2}, pages*page), 0o600); err != nil {
		log.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	b, err := syscall.Mmap(int(f.Fd()), 0, pages*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		log.Fatal(err)
	}
	return b
}
