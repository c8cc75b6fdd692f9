package main

/*
#include <pthread.h>
#include <signal.h>
#include <stddef.h>

static char read_byte(volatile char *p) { return *p; }

static void *read_here(void *p)
{
	read_byte(p);
	return NULL;
}

static void *raise_here(void *signal)
{
	raise((int)(long)signal);
	return NULL;
}

// on_thread calls f on a thread of C's own.
static int on_thread(void *(*f)(void *), void *arg)
{
	pthread_t t;
	if (pthread_create(&t, NULL, f, arg))
		return 1;
	return pthread_join(t, NULL);
}

static int read_by_thread(char *p) { return on_thread(read_here, p); }
static int raise_by_thread(int signal) { return on_thread(raise_here, (void *)(long)signal); }
static void raise_signal(int signal) { raise(signal); }
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"unsafe"

	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// bystanders make signals that are not the profiler's, at the second page of a file that has one. They return for
// those that the program survives.
var bystanders = map[string]func(m []byte) error{
	"recovered": func(m []byte) error {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		var nothing *[16]byte
		for range 3 {
			for _, f := range []func(){func() { m[page+7] = 1 }, func() { m[page] += m[page+9] }, func() { nothing[8] = 1 }} {
				if err := tell(m, f); err != nil {
					return err
				}
			}
		}
		return nil
	},
	"Go":                        func(m []byte) error { m[page+7] = 1; return nil },
	"C":                         func(m []byte) error { C.read_byte(at(m, page+7)); return nil },
	"a thread of C's":           func(m []byte) error { C.read_by_thread(at(m, page+7)); return nil },
	"nil in Go":                 func([]byte) error { var nothing *[16]byte; nothing[8] = 1; return nil },
	"nil in C":                  func([]byte) error { C.read_byte(nil); return nil },
	"nil in a thread of C's":    func([]byte) error { C.read_by_thread(nil); return nil },
	"raised by C":               func([]byte) error { C.raise_signal(C.SIGBUS); return nil },
	"raised by a thread of C's": func([]byte) error { C.raise_by_thread(C.SIGBUS); return nil },
}

func at(m []byte, offset int) *C.char { return (*C.char)(unsafe.Pointer(&m[offset])) }

// tell says what f panics with.
func tell(m []byte, f func()) (err error) {
	defer func() {
		e, ok := recover().(runtime.Error)
		if !ok {
			err = errors.New("nothing recovered")
			return
		}
		where := "no address"
		if a, ok := e.(interface{ Addr() uintptr }); ok {
			where = fmt.Sprintf("%#x", a.Addr()-uintptr(unsafe.Pointer(&m[0])))
		}
		fmt.Printf("saw %T %q, %s\n", e, e, where)
	}()
	f()
	return nil
}

// bystander makes one of them, with C's handler in front of Go's or not, and with the profiler in front of both or
// not. The lines that it prints are those of account, in the profiler's tests.
func bystander(name string, handler, profiled bool) error {
	dir, err := os.MkdirTemp("", "cbus-")
	if err != nil {
		return err
	}
	m, err := short(filepath.Join(dir, "file"))
	os.RemoveAll(dir) // here, since most do not return
	if err != nil {
		return err
	}
	other, err := unix.Mmap(-1, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	if handler && !install(other) {
		return errors.New("sigaction failed")
	}
	fmt.Printf("base code %#x 0\n", runtime.FuncForPC(reflect.ValueOf(main).Pointer()).Entry())
	fmt.Printf("base memory %#x %#x\n", uintptr(unsafe.Pointer(&m[0])), len(m))
	if !profiled {
		return endure(name, m)
	}
	p, err := profiler.New(profiler.WithDelivery(profiler.DeliverySignal), profiler.WithGranule(page))
	if err != nil {
		return err
	}
	r, err := p.NewArena("arena", 10*page)
	if err != nil {
		return err
	}
	for i := range 10 {
		r.Bytes()[i*page] = 1
	}
	if n := p.Snapshot().Stats.Faults; n != 10 {
		return fmt.Errorf("%d faults, want 10", n)
	}
	return errors.Join(endure(name, m), p.Close())
}

func endure(name string, m []byte) error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil { // no core file
		return err
	}
	if err := bystanders[name](m); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
}
