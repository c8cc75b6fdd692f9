// Mutex has threads of C's contend for a mutex that lies in a file, as LMDB's does in lock.mdb, beside a file of data,
// while the agent arms again what it observes. What the agent observes is told by the FIRSTTOUCH_ variables. It prints
// what the agent says and saw, and ends with "ok" when the mutex did its work.
//
//	mutex DIRECTORY
package main

/*
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

// What lies in the file.
struct shared { pthread_mutex_t mutex; long count; };

static int prepare(void *p) {
	struct shared *s = p;
	pthread_mutexattr_t a;
	return pthread_mutexattr_init(&a) || pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED) ||
		pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST) || pthread_mutex_init(&s->mutex, &a);
}

static atomic_int stop;
static pthread_t threads[4];
struct work { struct shared *s; long mine; int failed; };
static struct work works[4];

static void *contend(void *arg) {
	struct work *w = arg;
	while (!atomic_load(&stop)) {
		if ((w->failed = pthread_mutex_lock(&w->s->mutex))) break;
		w->s->count++;
		w->mine++;
		usleep(200);
		if ((w->failed = pthread_mutex_unlock(&w->s->mutex))) break;
	}
	return NULL;
}

static int begin(void *p) {
	for (int i = 0; i < 4; i++) {
		works[i].s = p;
		if (pthread_create(&threads[i], NULL, contend, &works[i])) return -1;
	}
	return 0;
}

// Returns how much the threads counted more than the file has, or an error.
static long end(void *p) {
	struct shared *s = p;
	long sum = 0;
	atomic_store(&stop, 1);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		if (works[i].failed) return works[i].failed;
		sum += works[i].mine;
	}
	return sum == 0 ? -1 : sum - s->count;
}
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/agent"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

const pages = 64

// windows is how many times everything is armed again.
const windows = 8

func main() { testproc.Tell(run(os.Args[1]), profiler.ErrNotSupported) }

func run(dir string) error {
	page := os.Getpagesize()
	lock, err := mapFile(filepath.Join(dir, "lock.mdb"), page, unix.PROT_READ|unix.PROT_WRITE)
	if err != nil {
		return err
	}
	data, err := mapFile(filepath.Join(dir, "data.mdb"), pages*page, unix.PROT_READ)
	if err != nil {
		return err
	}
	if n := C.prepare(unsafe.Pointer(&lock[0])); n != 0 {
		return fmt.Errorf("mutex: %d", n)
	}
	a, err := agent.Start(context.Background(), agent.WithWindows(100*time.Millisecond))
	if err != nil {
		return err
	}
	if err := a.Look(context.Background()); err != nil { // what is mapped is observed from here on
		return err
	}
	fmt.Println("reason:", a.Reason())
	if C.begin(unsafe.Pointer(&lock[0])) != 0 {
		return errors.New("no threads")
	}
	for began := time.Now(); !enough(a, time.Since(began)); time.Sleep(10 * time.Millisecond) {
		for i := range pages {
			if got := data[i*page]; got != byte(i) {
				return fmt.Errorf("page %d of the data reads as %d", i, got)
			}
		}
	}
	if n := C.end(unsafe.Pointer(&lock[0])); n != 0 {
		return fmt.Errorf("the mutex failed: %d", n)
	}
	for _, n := range a.Notes() {
		fmt.Println("note:", n)
	}
	if p := a.Profiler(); p != nil {
		for _, r := range p.Snapshot().Regions {
			fmt.Printf("%s: touched %v, armed again %v\n", filepath.Base(r.Name), r.Faults >= windows, r.Rearms >= windows)
		}
	}
	return a.Shutdown(context.Background())
}

// enough: everything was armed again and touched often, or the agent does nothing. On a busy machine a window can pass
// before anybody touches anything.
func enough(a *agent.Agent, since time.Duration) bool {
	p := a.Profiler()
	if p == nil {
		return since > windows*100*time.Millisecond
	}
	regions := p.Snapshot().Regions
	for _, r := range regions {
		if r.Rearms < windows || r.Faults < windows {
			return false
		}
	}
	return len(regions) > 0
}

func mapFile(path string, size, prot int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content := make([]byte, size)
	for i := 0; i < size; i += os.Getpagesize() {
		content[i] = byte(i / os.Getpagesize())
	}
	if _, err := f.Write(content); err != nil {
		return nil, err
	}
	return unix.Mmap(int(f.Fd()), 0, size, prot, unix.MAP_SHARED)
}
