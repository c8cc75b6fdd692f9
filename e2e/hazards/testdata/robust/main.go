// Robust has a thread of C's die, or its whole process, while it holds robust mutexes in memory that was armed again since:
// the next one to lock them has to be told so (EOWNERDEAD), and not to wait for ever.
//
//	robust FILE...
package main

/*
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

static int prepare(void *p) {
	pthread_mutexattr_t a;
	return pthread_mutexattr_init(&a) || pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED) ||
		pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST) || pthread_mutex_init(p, &a);
}

static sem_t locked, die;
static pthread_t thread;
static void *mutexes[2];

static void *holder(void *arg) {
	pthread_mutex_lock(mutexes[0]);
	pthread_mutex_lock(mutexes[1]);
	sem_post(&locked);
	while (sem_wait(&die)) {}
	return NULL;
}

// Returns when a thread holds both.
static int hold(void *a, void *b) {
	mutexes[0] = a;
	mutexes[1] = b;
	if (sem_init(&locked, 0, 0) || sem_init(&die, 0, 0) || pthread_create(&thread, NULL, holder, NULL)) return -1;
	while (sem_wait(&locked)) {}
	return 0;
}

static int end(void) { return sem_post(&die) || pthread_join(thread, NULL); }

// Returns whether the mutex says that its owner died, within seconds.
static int owner_died(void *p) {
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += 5;
	return pthread_mutex_timedlock(p, &t) == EOWNERDEAD;
}
*/
import "C"

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

const pages = 8

// Pages whose mutexes are held; the others are not touched.
var held = []int{2, 5}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "-hold" {
		testproc.Tell(holdUntilKilled(os.Args[2]), profiler.ErrNotSupported)
		return
	}
	testproc.Tell(run(os.Args[1:]), profiler.ErrNotSupported)
}

func start() (*profiler.Profiler, error) {
	opts := []profiler.Option{profiler.WithFailingSystemCalls(), profiler.WithStopLimit(10 * time.Second)}
	if os.Getenv(testproc.DeliveryEnv) == profiler.DeliverySignal.String() {
		opts = append(opts, profiler.WithDelivery(profiler.DeliverySignal))
	}
	return profiler.New(opts...)
}

func run(files []string) error {
	for _, path := range files {
		if err := threadDies(path, func(p *profiler.Profiler, _ []byte) (*profiler.Region, error) { return p.AttachFile(path) }); err != nil {
			return fmt.Errorf("thread, %s: %w", path, err)
		}
		if err := processDies(path); err != nil {
			return fmt.Errorf("process, %s: %w", path, err)
		}
	}
	for name, opts := range map[string][]profiler.RegionOption{"memory": nil, "writes": {profiler.WithWritesOnly()}} {
		err := threadDies("", func(p *profiler.Profiler, mem []byte) (*profiler.Region, error) {
			return p.AttachMemory(name, mem, opts...)
		})
		if err != nil && !errors.Is(err, profiler.ErrNotSupported) {
			return fmt.Errorf("thread, private memory, %s: %w", name, err)
		}
	}
	return nil
}

func mapping(path string, fresh bool) ([]byte, error) {
	size := pages * os.Getpagesize()
	if path == "" {
		return unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fresh {
		if _, err := f.Write(make([]byte, size)); err != nil {
			return nil, err
		}
	}
	return unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

// mutex is where a page has one, across a border of words.
func mutex(mem []byte, page int) unsafe.Pointer {
	return unsafe.Pointer(&mem[page*os.Getpagesize()+64])
}

// hold has a thread hold the mutexes, and arms them with the profiler, twice.
func hold(path string, attach func(*profiler.Profiler, []byte) (*profiler.Region, error)) (mem []byte, p *profiler.Profiler, err error) {
	if mem, err = mapping(path, true); err != nil {
		return nil, nil, err
	}
	for i := range pages {
		mem[i*os.Getpagesize()] = 1
		if C.prepare(mutex(mem, i)) != 0 {
			return nil, nil, errors.New("no robust mutex")
		}
	}
	if C.hold(mutex(mem, held[0]), mutex(mem, held[1])) != 0 {
		return nil, nil, errors.New("no thread")
	}
	if p, err = start(); err != nil {
		return nil, nil, err
	}
	r, err := attach(p, mem)
	if err == nil {
		err = r.Rearm()
	}
	if errors.Is(err, profiler.ErrNotSupported) {
		return nil, nil, errors.Join(err, p.Close())
	}
	if err != nil {
		return nil, nil, err
	}
	if n := p.Snapshot().Regions[0].Faults; n != uint64(2*len(held)) {
		return nil, nil, fmt.Errorf("%d pages are touched, want those with mutexes that are held, after each arming", n)
	}
	return mem, p, nil
}

func threadDies(path string, attach func(*profiler.Profiler, []byte) (*profiler.Region, error)) error {
	mem, p, err := hold(path, attach)
	if err != nil {
		if path == "" && errors.Is(err, profiler.ErrNotSupported) {
			C.end()
		}
		return err
	}
	if C.end() != 0 {
		return errors.New("the thread did not end")
	}
	if err := told(mem); err != nil {
		return err
	}
	return errors.Join(p.Close(), unix.Munmap(mem))
}

// told checks that the mutexes tell of their owner's death.
func told(mem []byte) error {
	for _, i := range held {
		if C.owner_died(mutex(mem, i)) == 0 {
			return fmt.Errorf("the mutex in page %d does not tell that its owner died", i)
		}
	}
	return nil
}

// holdUntilKilled is the process that dies.
func holdUntilKilled(path string) error {
	if _, _, err := hold(path, func(p *profiler.Profiler, _ []byte) (*profiler.Region, error) { return p.AttachFile(path) }); err != nil {
		return err
	}
	fmt.Println("armed")
	select {}
}

func processDies(path string) error {
	c := exec.Command(os.Args[0], "-hold", path)
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "armed\n" {
		return errors.Join(fmt.Errorf("the holder says %q", line), err, c.Wait())
	}
	if err := c.Process.Kill(); err != nil {
		return err
	}
	c.Wait() // it was killed
	mem, err := mapping(path, false)
	if err != nil {
		return err
	}
	return errors.Join(told(mem), unix.Munmap(mem))
}
