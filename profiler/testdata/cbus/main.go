// Command cbus is a program whose C code handles SIGBUS and SIGSEGV itself, as some libraries that map files do, before the
// profiler delivers faults by these signals. It prints "ok", or "skip: " with a reason, or says what is wrong.
//
// With the name of a signal that is not the profiler's, and "handler" and "profiler" where C's handler and the profiler
// are wanted, it makes that signal alone.
package main

/*
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static struct sigaction before[SIGSEGV + 1];
static char *repaired;         // memory of a file that is too short, which the handler replaces
static size_t repaired_length;
static volatile int repairs, passed;

static void handle(int number, siginfo_t *info, void *context)
{
	char *p = info->si_addr;
	size_t page = sysconf(_SC_PAGESIZE);
	if (p >= repaired && p < repaired + repaired_length) {
		__atomic_add_fetch(&repairs, 1, __ATOMIC_RELAXED);
		p -= (size_t)p % page;
		mmap(p, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		return;
	}
	__atomic_add_fetch(&passed, 1, __ATOMIC_RELAXED);
	before[number].sa_sigaction(number, info, context);
}

// install puts the handler in front of Go's, of both signals.
static int install(char *p, size_t length)
{
	struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	repaired = p;
	repaired_length = length;
	sigfillset(&action.sa_mask);
	return sigaction(SIGBUS, &action, &before[SIGBUS]) || sigaction(SIGSEGV, &action, &before[SIGSEGV]);
}

static int repairs_made(void) { return repairs; }
static int signals_passed(void) { return passed; }

struct part { char *p; size_t pages, page; int blocked; };

static void *touch_all(void *arg)
{
	struct part *part = arg;
	for (size_t i = 0; i < part->pages; i++)
		part->p[i * part->page] += 1;
	return NULL;
}

// touch_by_thread writes to every page on a thread of C's own.
static int touch_by_thread(char *p, size_t pages, size_t page)
{
	struct part part = { p, pages, page, 0 };
	pthread_t t;
	if (pthread_create(&t, NULL, touch_all, &part))
		return 1;
	return pthread_join(t, NULL);
}

static int release[2];

static void *wait_for_release(void *unused)
{
	char c;
	(void)unused;
	return (void *)(long)read(release[0], &c, 1);
}

// start_blocking starts a thread that blocks all signals, as worker threads of libraries do.
static int start_blocking(pthread_t *t)
{
	sigset_t all, was;
	int failed;
	if (pipe(release))
		return 1;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	failed = pthread_create(t, NULL, wait_for_release, NULL);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	return failed;
}

static int end_blocking(pthread_t t)
{
	return write(release[1], "", 1) != 1 || pthread_join(t, NULL);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

const pages = 500

var page = os.Getpagesize()

func main() {
	if len(os.Args) > 1 {
		with := os.Args[2:]
		testproc.Tell(bystander(os.Args[1], slices.Contains(with, "handler"), slices.Contains(with, "profiler")), profiler.ErrNotSupported)
		return
	}
	testproc.Tell(run(), profiler.ErrNotSupported)
}

func run() error {
	dir, err := os.MkdirTemp("", "cbus-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c, err := short(filepath.Join(dir, "c")) // what C's handler repairs
	if err != nil {
		return err
	}
	g, err := short(filepath.Join(dir, "go")) // what it leaves to Go's
	if err != nil {
		return err
	}
	if !install(c) {
		return errors.New("sigaction failed")
	}
	if err := refused(); err != nil {
		return err
	}
	p, err := profiler.New(profiler.WithDelivery(profiler.DeliverySignal), profiler.WithGranule(page), profiler.WithStopLimit(10*time.Second))
	if err != nil {
		return err
	}
	for round := range 3 {
		r, err := p.NewArena(fmt.Sprint("arena ", round), pages*page)
		if err != nil {
			return err
		}
		b := r.Bytes()
		for i := range pages / 2 {
			b[i*page] = 1
		}
		if C.touch_by_thread((*C.char)(unsafe.Pointer(&b[pages/2*page])), pages/2, C.size_t(page)) != 0 {
			return errors.New("pthread_create failed")
		}
		// C code on a thread of Go's touches the same pages again, which are plain memory by now.
		if C.touch_by_thread((*C.char)(unsafe.Pointer(&b[0])), pages, C.size_t(page)) != 0 {
			return errors.New("pthread_create failed")
		}
		if n := p.Snapshot().Regions[r.ID()].Faults; n != pages {
			return fmt.Errorf("round %d: %d faults, want %d", round, n, pages)
		}
		if err := othersSignals(c[(1+round)*page:], g, round); err != nil {
			return err
		}
		if err := observedFile(p, filepath.Join(dir, fmt.Sprint("file ", round))); err != nil {
			return err
		}
	}
	if p.Snapshot().Stats.ResolveErrs != 0 {
		return errors.New("some faults could not be resolved")
	}
	return p.Close()
}

// observedFile has threads of C's own touch a file whose mapping is observed.
func observedFile(p *profiler.Profiler, path string) error {
	if err := os.WriteFile(path, make([]byte, pages*page), 0o600); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := unix.Mmap(int(f.Fd()), 0, pages*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	r, err := p.AttachFile(path)
	if err != nil {
		return err
	}
	if C.touch_by_thread((*C.char)(unsafe.Pointer(&b[0])), pages, C.size_t(page)) != 0 {
		return errors.New("pthread_create failed")
	}
	if n := p.Snapshot().Regions[r.ID()].Faults; n != pages {
		return fmt.Errorf("%s: %d faults, want %d", path, n, pages)
	}
	for i := range pages {
		if b[i*page] != 1 {
			return fmt.Errorf("%s: page %d holds %d, want 1", path, i, b[i*page])
		}
	}
	return errors.Join(r.Close(), unix.Munmap(b))
}

// install puts C's handler in front of Go's.
func install(repaired []byte) bool {
	return C.install((*C.char)(unsafe.Pointer(&repaired[0])), C.size_t(len(repaired))) == 0
}

// othersSignals makes signals that are not the profiler's: one that C's handler answers, and some that it
// passes to Go's.
func othersSignals(c, g []byte, round int) error {
	passed := int(C.signals_passed())
	c[0] = 1
	if n := int(C.repairs_made()); n != round+1 {
		return fmt.Errorf("C's handler repaired %d pages, want %d", n, round+1)
	}
	if err := panics("invalid memory address", func() { g[page] = 1 }); err != nil {
		return err
	}
	var nothing *[16]byte
	if err := panics("nil pointer dereference", func() { nothing[8] = 1 }); err != nil {
		return err
	}
	if n := int(C.signals_passed()) - passed; n != 2 {
		return fmt.Errorf("C's handler passed on %d signals, want 2: none of the profiler's reaches it", n)
	}
	return nil
}

// panics calls f, which has to panic.
func panics(want string, f func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
			err = fmt.Errorf("recovered %q, want %q", got, want)
		}
	}()
	f()
	return nil
}

// refused tries delivery by signal where a thread blocks SIGBUS, which would be killed by it.
func refused() error {
	var t C.pthread_t
	if C.start_blocking(&t) != 0 {
		return errors.New("pthread_create failed")
	}
	p, err := profiler.New(profiler.WithDelivery(profiler.DeliverySignal))
	if err == nil {
		return errors.Join(errors.New("delivery by signal was not refused while a thread blocks SIGBUS"), p.Close())
	}
	if !strings.Contains(err.Error(), "blocks SIGBUS") {
		return err
	}
	if C.end_blocking(t) != 0 {
		return errors.New("the thread did not end")
	}
	return nil
}

// short maps more of a file than it has: what lies behind its first page gives SIGBUS.
func short(path string) ([]byte, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(int64(page)); err != nil {
		return nil, err
	}
	return unix.Mmap(int(f.Fd()), 0, 8*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}
