// Command cthreads is a program whose C code has threads that cannot be stopped by a signal, and takes signals for
// itself, while the profiler attaches, arms again and gives back. Its argument is the case. It prints "ok", or "skip: "
// with a reason, or says what is wrong.
package main

/*
#define _GNU_SOURCE
#include <errno.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int hold[2], commands[2], answers[2];

// body blocks and unblocks all signals as it is told, and else waits in read(2), or keeps a processor.
static void *body(void *spin)
{
	sigset_t all;
	char c;
	sigfillset(&all);
	pthread_setname_np(pthread_self(), "deaf-thread");
	for (;;) {
		if (read(commands[0], &c, 1) != 1)
			return NULL;
		switch (c) {
		case 'b':
			pthread_sigmask(SIG_BLOCK, &all, NULL);
			break;
		case 'u':
			pthread_sigmask(SIG_UNBLOCK, &all, NULL);
			break;
		case 'e':
			return NULL;
		}
		if (write(answers[1], &c, 1) != 1)
			return NULL;
	}
}

// start_thread starts a thread with all signals blocked, as jemalloc's background threads are.
static int start_thread(pthread_t *t)
{
	sigset_t all, was;
	int failed;
	if (pipe(commands) || pipe(answers))
		return errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	failed = pthread_create(t, NULL, body, NULL);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	return failed;
}

static int tell(char c)
{
	if (write(commands[1], &c, 1) != 1)
		return 1;
	return c != 'e' && read(answers[0], &c, 1) != 1;
}

static int end_thread(pthread_t t)
{
	return tell('e') || pthread_join(t, NULL);
}

// start_ring makes an io_uring whose submissions the kernel polls for on a thread of its own, and which has a worker
// that waits for a read from a pipe.
static int start_ring(void)
{
	struct io_uring_params p;
	memset(&p, 0, sizeof p);
	p.flags = IORING_SETUP_SQPOLL;
	p.sq_thread_idle = 60000;
	int fd = syscall(SYS_io_uring_setup, 8, &p);
	if (fd < 0)
		return -errno;
	char *sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
	struct io_uring_sqe *sqe = mmap(NULL, p.sq_entries * sizeof *sqe, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
	if (sq == MAP_FAILED || sqe == MAP_FAILED || pipe(hold))
		return -errno;
	static char buffer[16];
	memset(sqe, 0, sizeof *sqe);
	sqe->opcode = IORING_OP_READ;
	sqe->flags = IOSQE_ASYNC; // at once on a worker
	sqe->fd = hold[0];
	sqe->addr = (unsigned long)buffer;
	sqe->len = 1;
	((unsigned *)(sq + p.sq_off.array))[0] = 0;
	__atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	syscall(SYS_io_uring_enter, fd, 1, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
	return fd;
}

static volatile int taken; // calls of the handler that takes the signal
static volatile int chained;
static struct sigaction before;

static void take(int number, siginfo_t *info, void *context)
{
	__atomic_add_fetch(&taken, 1, __ATOMIC_RELAXED);
	if (chained && before.sa_flags & SA_SIGINFO)
		before.sa_sigaction(number, info, context);
}

// take_signal does with a signal what other code may: 'h' is a handler, 'c' one that passes on, 'd' the default action,
// 'i' to ignore it, 'r' the handler that was there before.
static int take_signal(int number, char how)
{
	struct sigaction a;
	memset(&a, 0, sizeof a);
	sigfillset(&a.sa_mask);
	chained = how == 'c';
	switch (how) {
	case 'd':
		a.sa_handler = SIG_DFL;
		break;
	case 'i':
		a.sa_handler = SIG_IGN;
		break;
	case 'r':
		return sigaction(number, &before, NULL);
	default:
		a.sa_sigaction = take;
		a.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
	}
	return sigaction(number, &a, &before);
}

static int taken_calls(void) { return taken; }

// slow_child starts a process in the way of posix_spawn, for which this thread waits in the kernel until it has exited.
static int slow_child(int ms)
{
	pid_t pid = vfork();
	if (pid == 0) {
		usleep(1000 * ms);
		_exit(0);
	}
	return pid < 0 || waitpid(pid, NULL, 0) != pid;
}
*/
import "C"

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

const pages = 32

var page = os.Getpagesize()

// most is for how long one operation may stop all threads, ten times over: a busy machine can keep the surgeon itself from its
// processor, and the old code stopped them for a second.
const most = 200 * time.Millisecond

func main() {
	cases := map[string]func() error{
		"blocks": blocks, "blocks later": blocksLater, "kernel": kernel, "vfork": vforks,
		"handler": func() error { return taken('h') }, "handler that passes on": func() error { return taken('c') },
		"default": func() error { return taken('d') }, "ignored": func() error { return taken('i') },
		"handler of the chosen": func() error { return takenChosen('h') }, "default of the chosen": func() error { return takenChosen('d') },
		"ignored by os/signal": ignoredByGo, "reset by os/signal": resetByGo, "notified": notified,
	}
	run := cases[os.Args[1]]
	if run == nil {
		testproc.Tell(fmt.Errorf("no case %q", os.Args[1]), profiler.ErrNotSupported)
		return
	}
	testproc.Tell(run(), profiler.ErrNotSupported)
}

// file is a mapping of a file that other code made.
type file struct {
	path   string
	memory []byte
	want   []byte
}

func newFile() (*file, error) {
	dir, err := os.MkdirTemp("", "cthreads-")
	if err != nil {
		return nil, err
	}
	f := &file{path: filepath.Join(dir, "data"), want: make([]byte, pages*page)}
	for i := 0; i < len(f.want); i += 8 {
		binary.LittleEndian.PutUint64(f.want[i:], uint64(i)+1)
	}
	if err := os.WriteFile(f.path, f.want, 0o600); err != nil {
		return nil, err
	}
	o, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	f.memory, err = unix.Mmap(int(o.Fd()), 0, len(f.want), unix.PROT_READ, unix.MAP_SHARED)
	return f, err
}

// check touches every page, of which want so many for the first time.
func (f *file) check(p *profiler.Profiler, want int) error {
	before := p.Snapshot().Stats.Records
	if !bytes.Equal(f.memory, f.want) {
		return errors.New("the file's contents are wrong")
	}
	if got := p.Snapshot().Stats.Records - before; got != uint64(want) {
		return fmt.Errorf("%d pages were touched for the first time, want %d", got, want)
	}
	return nil
}

// again does what may be ErrBusy since the machine is, until it is done.
func again(do func() error) error {
	for {
		err := do()
		var busy *profiler.BusyError
		if !errors.As(err, &busy) || busy.Signal != 0 {
			return err
		}
		time.Sleep(busy.RetryAfter)
	}
}

// refused wants an operation to be refused for the thread that blocks our signal, and nobody to be stopped for longer
// than that may take.
func refused(p *profiler.Profiler, what string, do func() error) error {
	before := p.Snapshot().Stats
	var busy *profiler.BusyError
	switch err := again(do); {
	case err == nil:
		return fmt.Errorf("%s succeeds although a thread cannot be stopped", what)
	case !errors.Is(err, profiler.ErrBusy) || !errors.As(err, &busy):
		return fmt.Errorf("%s: %w, want a BusyError", what, err)
	case busy.Signal != before.Signal || busy.Name != "deaf-thread" || busy.Thread == 0 || !strings.Contains(err.Error(), fmt.Sprintf("(deaf-thread) blocks signal %d", busy.Signal)):
		return fmt.Errorf("%s: %w: names the wrong thread: %+v", what, err, *busy)
	}
	if took := p.Snapshot().Stats.Stopped - before.Stopped; took > most {
		return fmt.Errorf("%s stopped threads for %v", what, took)
	}
	return nil
}

func start(opts ...profiler.Option) (*profiler.Profiler, *file, error) {
	f, err := newFile()
	if err != nil {
		return nil, nil, err
	}
	if os.Getenv(testproc.DeliveryEnv) == profiler.DeliverySignal.String() {
		opts = append(opts, profiler.WithDelivery(profiler.DeliverySignal))
	}
	p, err := profiler.New(append(opts, profiler.WithFailingSystemCalls())...)
	return p, f, err
}

// attach attaches the file, and waits out a busy machine.
func attach(p *profiler.Profiler, f *file) (r *profiler.Region, err error) {
	err = again(func() error { r, err = p.AttachFile(f.path); return err })
	return r, err
}

// blocks: a thread that blocks all signals for ever is named at once, everything stays as it is, and works as soon as the
// thread is gone.
func blocks() error {
	var t C.pthread_t
	if e := C.start_thread(&t); e != 0 {
		return syscall.Errno(e)
	}
	p, f, err := start()
	if err != nil {
		return err
	}
	if err := refused(p, "AttachFile", func() error { _, err := p.AttachFile(f.path); return err }); err != nil {
		return err
	}
	if s := p.Snapshot().Stats; s.Stops != 0 {
		return fmt.Errorf("threads were stopped %d times for a thread that was seen to block the signal", s.Stops)
	}
	if err := f.check(p, 0); err != nil {
		return err
	}
	// With a guard nobody has to be stopped.
	r, err := p.AttachFile(f.path, profiler.WithGuard(func(critical func()) error { critical(); return nil }))
	if err != nil {
		return err
	}
	if err := f.check(p, pages); err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	if C.end_thread(t) != 0 {
		return errors.New("the thread does not end")
	}
	if r, err = attach(p, f); err != nil {
		return err
	}
	if err := f.check(p, pages); err != nil {
		return err
	}
	if err := again(r.Rearm); err != nil {
		return err
	}
	return errors.Join(f.check(p, pages), again(p.Close))
}

// blocksLater: as blocks, of a thread that blocks signals only after memory was armed.
func blocksLater() error {
	var t C.pthread_t
	if e := C.start_thread(&t); e != 0 {
		return syscall.Errno(e)
	}
	if C.tell('u') != 0 {
		return errors.New("the thread does not answer")
	}
	p, f, err := start()
	if err != nil {
		return err
	}
	r, err := attach(p, f)
	if err != nil {
		return err
	}
	if C.tell('b') != 0 {
		return errors.New("the thread does not answer")
	}
	if err := errors.Join(refused(p, "Rearm", r.Rearm), refused(p, "Region.Close", r.Close)); err != nil {
		return err
	}
	if err := f.check(p, pages); err != nil { // it is still served
		return err
	}
	if notes := strings.Join(p.Snapshot().Stats.Notes, "\n"); !strings.Contains(notes, "(deaf-thread) blocks signal") {
		return fmt.Errorf("no note names the thread: %s", notes)
	}
	if C.tell('u') != 0 {
		return errors.New("the thread does not answer")
	}
	if err := again(r.Rearm); err != nil {
		return err
	}
	if err := f.check(p, pages); err != nil {
		return err
	}
	if C.tell('b') != 0 {
		return errors.New("the thread does not answer")
	}
	if err := refused(p, "Close", p.Close); err != nil {
		return err
	}
	if C.end_thread(t) != 0 {
		return errors.New("the thread does not end")
	}
	return errors.Join(again(p.Close), f.gone(p))
}

// gone checks that the file's mapping is one again.
func (f *file) gone(*profiler.Profiler) error {
	if !bytes.Equal(f.memory, f.want) {
		return errors.New("the file's contents are wrong after Close")
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return err
	}
	if n := strings.Count(string(maps), f.path); n != 1 {
		return fmt.Errorf("the file has %d mappings after Close, want 1", n)
	}
	return nil
}

// kernel: threads of the kernel's own (io_uring) are not in the way.
func kernel() error {
	switch fd := C.start_ring(); {
	case fd == -C.ENOSYS || fd == -C.EPERM:
		return fmt.Errorf("%w: io_uring: %w", profiler.ErrNotSupported, syscall.Errno(-fd))
	case fd < 0:
		return syscall.Errno(-fd)
	}
	if err := workers(); err != nil {
		return err
	}
	p, f, err := start()
	if err != nil {
		return err
	}
	r, err := attach(p, f)
	if err != nil {
		return err
	}
	for range 5 {
		if err := f.check(p, pages); err != nil {
			return err
		}
		before := p.Snapshot().Stats.Stopped
		if err := again(r.Rearm); err != nil {
			return err
		}
		if took := p.Snapshot().Stats.Stopped - before; took > most {
			return fmt.Errorf("Rearm stopped threads for %v", took)
		}
	}
	if err := f.check(p, pages); err != nil {
		return err
	}
	return errors.Join(again(p.Close), f.gone(p), workers())
}

// workers waits until there is an io_uring worker beside the thread that polls.
func workers() error {
	var names string
	for end := time.Now().Add(testproc.Budget(5 * time.Second)); time.Now().Before(end); time.Sleep(time.Millisecond) {
		names = ""
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range tasks {
			comm, _ := os.ReadFile("/proc/self/task/" + t.Name() + "/comm")
			names += string(comm)
		}
		if strings.Contains(names, "iou-sqp-") && strings.Contains(names, "iou-wrk-") {
			return nil
		}
	}
	return fmt.Errorf("there are no workers of io_uring: %q", names)
}

// vforks: while a thread waits in the kernel for a process that it starts, which takes long, nobody is stopped for long
// and the operation waits for it.
func vforks() error {
	p, f, err := start()
	if err != nil {
		return err
	}
	r, err := attach(p, f)
	if err != nil {
		return err
	}
	for range 3 {
		done := make(chan C.int)
		go func() { done <- C.slow_child(300) }()
		time.Sleep(50 * time.Millisecond)
		before := p.Snapshot().Stats.Stopped
		if err := r.Rearm(); err != nil && !errors.Is(err, profiler.ErrBusy) {
			return err
		} else if err != nil {
			var busy *profiler.BusyError
			if errors.As(err, &busy) && !strings.Contains(err.Error(), "processors are busy") {
				return err
			}
			if err := again(r.Rearm); err != nil {
				return err
			}
		}
		if took := p.Snapshot().Stats.Stopped - before; took > most {
			return fmt.Errorf("Rearm stopped threads for %v", took)
		}
		if <-done != 0 {
			return errors.New("the child failed")
		}
		if err := f.check(p, pages); err != nil {
			return err
		}
	}
	return errors.Join(again(p.Close), f.gone(p))
}

// wait waits until the profile says that a signal was taken.
func wait(p *profiler.Profiler, number int) (profiler.Stats, error) {
	for end := time.Now().Add(testproc.Budget(10 * time.Second)); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if s := p.Snapshot().Stats; strings.Contains(s.SignalTaken, fmt.Sprintf("signal %d was ", number)) {
			return s, nil
		}
	}
	return profiler.Stats{}, fmt.Errorf("nothing says that signal %d was taken", number)
}

// arrived waits until no thread has a signal of the engine still to come: such a one gets to who takes it, see
// docs/architecture.md, and on a busy machine that is a while after the thread was stopped.
func arrived(signal int) error {
	for end := time.Now().Add(testproc.Budget(10 * time.Second)); ; time.Sleep(time.Millisecond) {
		list, err := filepath.Glob("/proc/self/task/*/status")
		if err != nil {
			return err
		}
		pending := false
		for _, path := range list {
			text, _ := os.ReadFile(path) // the thread may have ended
			_, rest, _ := strings.Cut(string(text), "\nSigPnd:\t")
			set, _, _ := strings.Cut(rest, "\n")
			bits, _ := strconv.ParseUint(set, 16, 64)
			pending = pending || bits>>(signal-1)&1 != 0
		}
		if !pending {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("signal %d does not arrive", signal)
		}
	}
}

// taken: other code takes the signal after the start. Its handler gets none of ours, the process lives, what happened is
// said, and another signal is used.
func taken(how C.char) error {
	p, f, err := start()
	if err != nil {
		return err
	}
	first := p.Snapshot().Stats.Signal
	r, err := attach(p, f)
	if err != nil {
		return err
	}
	if err := arrived(first); err != nil {
		return err
	}
	if C.take_signal(C.int(first), how) != 0 {
		return errors.New("sigaction failed")
	}
	if err := again(r.Rearm); err != nil {
		return fmt.Errorf("arm again: %w", err)
	}
	s, err := wait(p, first)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	want := map[C.char]string{'h': "taken by " + self, 'c': "taken by " + self, 'd': "taken: it has its default action", 'i': "taken: it is ignored"}[how]
	if !strings.Contains(s.SignalTaken, want) || !strings.Contains(strings.Join(s.Notes, "\n"), want) {
		return fmt.Errorf("it says %q, and %q, want %q", s.SignalTaken, s.Notes, want)
	}
	if s.Signal == first || s.Signal < 35 || s.Signal > 63 {
		return fmt.Errorf("signal %d is used after %d was taken", s.Signal, first)
	}
	stacks := s.Stacks
	if err := f.check(p, pages); err != nil {
		return err
	}
	if s = p.Snapshot().Stats; s.Stacks-stacks != pages {
		return fmt.Errorf("%d stacks were taken, want %d", s.Stacks-stacks, pages)
	}
	if n := C.taken_calls(); n != 0 {
		return fmt.Errorf("the other handler got %d of our signals", n)
	}
	return errors.Join(again(p.Close), f.gone(p))
}

// takenChosen: the user has chosen the signal, so no other one is used: what is armed stays served until its owner gives
// the signal back.
func takenChosen(how C.char) error {
	p, f, err := start(profiler.WithSignal(40))
	if err != nil {
		return err
	}
	r, err := attach(p, f)
	if err != nil {
		return err
	}
	if err := arrived(40); err != nil {
		return err
	}
	if C.take_signal(40, how) != 0 {
		return errors.New("sigaction failed")
	}
	for _, do := range []func() error{r.Rearm, p.Close} {
		if err := do(); !errors.Is(err, profiler.ErrSignalTaken) || !strings.Contains(err.Error(), "signal 40 was taken") {
			return fmt.Errorf("%w, want ErrSignalTaken", err)
		}
	}
	if s := p.Snapshot().Stats; s.Signal != 0 {
		return fmt.Errorf("signal %d is used", s.Signal)
	}
	if err := f.check(p, pages); err != nil { // it is still served
		return err
	}
	if n := C.taken_calls(); n != 0 {
		return fmt.Errorf("the other handler got %d of our signals", n)
	}
	if C.take_signal(40, 'r') != 0 {
		return errors.New("sigaction failed")
	}
	for end := time.Now().Add(testproc.Budget(10 * time.Second)); p.Snapshot().Stats.Signal != 40; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("the signal is not used again after it was given back")
		}
	}
	return errors.Join(again(p.Close), f.gone(p))
}

// ignoredByGo: signal.Ignore of all signals takes ours, again and again.
func ignoredByGo() error {
	p, f, err := start()
	if err != nil {
		return err
	}
	r, err := attach(p, f)
	if err != nil {
		return err
	}
	for range 3 {
		first := p.Snapshot().Stats.Signal
		signal.Ignore()
		if _, err := wait(p, first); err != nil {
			return err
		}
		if err := again(r.Rearm); err != nil {
			return err
		}
		if err := f.check(p, pages); err != nil {
			return err
		}
	}
	return errors.Join(again(p.Close), f.gone(p))
}

// resetByGo: signal.Reset of all signals has a thread of Go's block ours.
func resetByGo() error {
	p, f, err := start()
	if err != nil {
		return err
	}
	r, err := attach(p, f)
	if err != nil {
		return err
	}
	for range 3 {
		signal.Reset()
		if err := again(r.Rearm); err != nil {
			return err
		}
		if err := f.check(p, pages); err != nil {
			return err
		}
	}
	if s := p.Snapshot().Stats; s.SignalTaken != "" {
		return fmt.Errorf("it says %q", s.SignalTaken)
	}
	return errors.Join(again(p.Close), f.gone(p))
}

// notified: a program that asks os/signal for every signal gets what others send of the profiler's signal, and none of ours.
func notified() error {
	got := make(chan os.Signal, 100)
	signal.Notify(got)
	p, f, err := start()
	if err != nil {
		return err
	}
	r, err := attach(p, f)
	if err != nil {
		return err
	}
	if err := again(r.Rearm); err != nil {
		return err
	}
	if err := f.check(p, pages); err != nil {
		return err
	}
	number := syscall.Signal(p.Snapshot().Stats.Signal)
	if err := syscall.Kill(os.Getpid(), number); err != nil {
		return err
	}
	seen := 0
	for end := time.After(testproc.Budget(10 * time.Second)); seen == 0; {
		select {
		case s := <-got:
			if s == number {
				seen++
			}
		case <-end:
			return fmt.Errorf("signal %d, which the process sent to itself, did not come", number)
		}
	}
	if err := errors.Join(again(p.Close), f.gone(p)); err != nil {
		return err
	}
	for {
		select {
		case s := <-got:
			if s == number {
				return fmt.Errorf("os/signal got one of the profiler's signals")
			}
		default:
			return nil
		}
	}
}
