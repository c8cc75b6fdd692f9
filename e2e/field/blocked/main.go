// Command blocked has a thread of C that blocks all signals while a file is read, and then none.
package main

/*
#include <pthread.h>
#include <signal.h>
#include <time.h>

static pthread_t thread;
static volatile int over;

static void *blocks(void *unused) {
	sigset_t all;
	struct timespec ms = {0, 1000000};
	(void)unused;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, 0);
	while (!over) {
		for (volatile int i = 0; i < 100000; i++)
			;
		nanosleep(&ms, 0);
	}
	return 0;
}

static int begin(void) { over = 0; return pthread_create(&thread, 0, blocks, 0); }
static int end(void) { over = 1; return pthread_join(thread, 0); }
*/
import "C"

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/firsttouch/firsttouch/e2e/field/service"
	"golang.org/x/sys/unix"
)

func main() { service.Main(service.Service{Prepare: prepare, Open: open}) }

const pages = 2000

func prepare(dir string) error {
	b := make([]byte, pages*os.Getpagesize())
	service.Numbers(b, func(at uint64) uint64 { return at * 5 })
	return os.WriteFile(filepath.Join(dir, "blocked.data"), b, 0o644)
}

type file struct {
	mapped  []byte
	running bool
}

func open(dir string) (service.Instance, error) {
	if e := C.begin(); e != 0 {
		return nil, fmt.Errorf("pthread_create: %d", e)
	}
	mapped, err := service.Map(filepath.Join(dir, "blocked.data"))
	return &file{mapped: mapped, running: true}, err
}

func (f *file) Query(w io.Writer) error {
	return service.AskNumbers(w, f.mapped, rand.New(rand.NewPCG(13, 14)))
}

// Change ends the thread.
func (f *file) Change() error {
	f.running = false
	if e := C.end(); e != 0 {
		return fmt.Errorf("pthread_join: %d", e)
	}
	return nil
}

func (f *file) Close() error {
	if f.running {
		C.end()
	}
	return unix.Munmap(f.mapped)
}
