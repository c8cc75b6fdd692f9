//go:build linux && (amd64 || arm64)

package engine

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/calls"
	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/internal/spantab"
	"github.com/firsttouch/firsttouch/internal/stacktab"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// Config is what an engine is started with.
type Config struct {
	Ring       int           // records, a power of two
	StackEvery int           // take the stack of one fault in so many, 0 for none
	StackRate  int           // and at most so many a second, 0 for no bound
	Signal     int           // a real-time signal without a handler; 0 chooses one
	StopLimit  time.Duration // for which one operation may stop the other threads; 0 is 20 ms
	Signals    bool          // faults come as SIGBUS to the thread that makes them, not as messages; implies UserMode
	UserMode   bool          // start also where faults in system calls are not served
	Go         GoRuntime     // what is known of it
}

// ErrUserModeOnly: faults in system calls could not be served, and Config.UserMode is not set.
var ErrUserModeOnly = errors.New("faults in system calls cannot be served")

// ErrRunning: one engine runs in a process at a time, since a signal has one handler.
var ErrRunning = errors.New("an engine runs in this process already: close the profiler that it belongs to first")

// Engine resolves the faults of its process until Stop. Its methods are safe for concurrent use,
// but Next, which has one caller.
type Engine struct {
	s       *shared
	opened  descriptors // only until the threads have theirs
	exposed exposed     // for the handler of SIGBUS
	arena   descriptor
	overlay descriptor
	user    bool          // user mode only
	offers  uffd.Features // of the kernel
	threads []*raw.Thread
	workers []uintptr
	mem     []offHeap

	mu      sync.Mutex // guards targets and the table; taken before goneMu
	targets []*Target  // in the table
	tables  [2]uintptr // the spare one, the current one

	goneMu  sync.Mutex       // guards what follows; a moment
	number  uint32           // highest number of a target that was ever used
	numbers []uint32         // of those the ones that are free
	gone    []goneTarget     // targets whose numbers are not, in order
	counted map[*Region]bool // whose counters are there

	ready uint64     // records that the ring has memory for
	late  []Finished // whose threads wait for storage; Next's

	stopLimit  time.Duration
	op         sync.Mutex // one command at a time for the surgeon; guards what follows
	resting    resting
	cutting    int // how many targets the next command is for, 0 where it is for one alone; see cutAll
	rearmKnown bool
	rearmErr   error

	errandMu sync.Mutex // one errand at a time for the clerk

	signalMu sync.Mutex // guards signals; taken before errandMu
	signals  signals

	spans *spantab.Spans
}

type offHeap struct{ p, size uintptr }

const (
	diskThreads = 8
	reserveMaps = 64
)

// Start opens the descriptors, installs the signal handler and starts the threads.
func Start(c Config) (*Engine, error) {
	if !running.CompareAndSwap(false, true) {
		return nil, ErrRunning
	}
	e := &Engine{opened: descriptors{stop: -1, nothing: -1}, counted: make(map[*Region]bool)}
	if err := e.start(c); err != nil {
		return nil, calls.Missing(errors.Join(err, e.Stop()), calls.Refused(nil))
	}
	return e, nil
}

// Possible says why no engine can be started, where that is for system calls that are refused, or nil. It names all, and
// whether a userfaultfd can be had, which delivery by signal does without.
func Possible(signals bool) error {
	refused := calls.Refused(nil)
	if err := calls.Missing(nil, refused); err == nil {
		return nil
	}
	fd, err := uffd.Open()
	if err == nil {
		err = fd.Close()
	}
	if signals {
		return calls.Missing(nil, needed(err))
	}
	return calls.Missing(err, refused)
}

// needed lists the calls that are refused, without those that are made on userfaultfds alone where there are none.
func needed(without error) []calls.Refusal {
	refused := calls.Refused(nil)
	if without == nil {
		return refused
	}
	return slices.DeleteFunc(refused, func(r calls.Refusal) bool { return r.OnUserfaultfd() })
}

// Without is why there is no userfaultfd, and so all is observed by its access alone, or nil.
func (e *Engine) Without() error { return e.opened.without }

func (e *Engine) start(c Config) error {
	defer promptly()()
	if err := roomToStart(); err != nil {
		return err
	}
	if err := raw.Clock(); err != nil {
		return fmt.Errorf("%w: %w", uffd.ErrNotSupported, err)
	}
	if err := ownProc(); err != nil {
		return err
	}
	err := e.opened.open(c.Signals)
	if err := calls.Missing(err, needed(e.opened.without)); err != nil {
		return err
	}
	e.user = e.opened.userModeOnly() || c.Signals
	if e.user && !c.UserMode && !c.Signals {
		return ErrUserModeOnly
	}
	if c.Go.Counted {
		return fmt.Errorf("%w: this program counts the coverage of the engine's own packages under the race detector: leave them out of -coverpkg, or one of -race and -cover", uffd.ErrNotSupported)
	}
	if !callsAsExpected() {
		return fmt.Errorf("%w: %s calls functions in a way that the engine's assembly does not know", uffd.ErrNotSupported, runtime.Version())
	}
	if err := signalStackFits(signalStack(), signalFrame(), c.Signals); err != nil {
		return err
	}
	if err := e.allocate(c); err != nil {
		return err
	}
	s := e.s
	s.signals = c.Signals
	if err := e.opened.number(s, &e.exposed); err != nil {
		return err
	}
	e.arena, e.overlay = descriptor{e, s.arenaFD}, descriptor{e, s.overlayFD}
	if !s.without {
		e.offers = e.opened.arena.Features()
	}
	s.pageSize, s.pid, s.handler = uintptr(unix.Getpagesize()), uintptr(os.Getpid()), sigtrampPC()
	s.slowUntil = raw.Nanotime() + slowFor // before it is known
	for _, nr := range harmless {
		s.harmless[nr/64] |= 1 << (nr % 64)
	}
	s.textLo, s.textHi, s.preemptPC = c.Go.TextLo, c.Go.TextHi, c.Go.Preempt
	s.goidOff, s.parentOff, s.frames, s.tlsOff = c.Go.Goid, c.Go.Parent, c.Go.Frames, c.Go.TLS
	s.machineOff, s.threadOff = c.Go.Machine, c.Go.Thread
	lastWords(c.Go.Dying)
	e.stopLimit = cmp.Or(c.StopLimit, stopLimit)
	s.stackEvery, s.stackRate = uint32(c.StackEvery), uint32(c.StackRate)
	if err := e.prepareMemory(); err != nil {
		return err
	}
	if err := e.limits(); err != nil {
		return err
	}
	raw.Store32(&ownPID, uint32(s.pid))
	sig, err := takeSignal(c.Signal)
	if err != nil {
		return err
	}
	e.signals.chosen, e.signals.now, s.signal = c.Signal, sig, uint64(sig)
	if c.Signals {
		if err := refuseBlocked(e.busSignals()); err != nil { // before there are threads of the engine, which do
			return err
		}
		if err := installBus(e.busSignals()); err != nil {
			return err
		}
	}
	raw.Store64(&sh, uint64(uintptr(unsafe.Pointer(s))))
	e.ReadyRing()
	// A source that is not there makes a fill go the long way, page by page (mfill_atomic_pte_copy in mm/userfaultfd.c).
	unix.Syscall(unix.SYS_MADVISE, s.zeros, zerosLen, unix.MADV_POPULATE_READ) // refused: as before
	if err := e.startThreads(); err != nil {
		return err
	}
	return e.handOver()
}

// allocate maps what the hot path works with.
func (e *Engine) allocate(c Config) error {
	var err error
	get := func(size uintptr) (p uintptr) {
		if err == nil {
			if p, err = newOffHeap(size); err == nil {
				e.mem = append(e.mem, offHeap{p, size})
			}
		}
		return p
	}
	bits := 6
	for 1<<bits < c.Ring {
		bits++
	}
	if p := get(unsafe.Sizeof(shared{})); p != 0 {
		e.s = at[shared](p)
	} else {
		return err
	}
	s := e.s
	s.ringBits, s.ringMask = uint64(bits), 1<<bits-1
	s.ring, s.blocked, s.heldFrom = get(64<<bits), get(4<<bits), raw.Nanotime()
	s.stacks.Use(get(stacktab.Size))
	s.threads = get(threadSlots * threadSize)
	s.spans.Use(get(spantab.SpansSize), get(spantab.BindingsSize))
	s.queue = get(queueLen * jobSize)
	s.zeros, s.identity = get(zerosLen), get(idLen)
	s.targets = get(targetSlots * targetSize)
	s.text, s.list = get(textLen), get(textLen)
	s.cmd.items = get(cutsMost * unsafe.Sizeof(cutting{}))
	s.own = get(maxWorkers * 4)
	e.tables = [2]uintptr{get(unsafe.Sizeof(table{})), get(unsafe.Sizeof(table{}))}
	s.table = uint64(e.tables[1])
	for i := range firstDisk + diskThreads {
		p := get(unsafe.Sizeof(worker{}))
		if p != 0 {
			w := at[worker](p)
			w.shared, w.number = uintptr(unsafe.Pointer(s)), uint64(i)
			if i < readers {
				w.reads = 1
			}
		}
		e.workers = append(e.workers, p)
	}
	if err != nil {
		return err
	}
	for i := range uint64(queueLen) {
		s.job(i).turn = i
	}
	s.followerWorker = e.workers[1]
	copy(s.workers[:], e.workers)
	e.spans = spantab.NewSpans(&s.spans)
	// Mappings that can be given up when the process runs out of them: every second page differs,
	// so they do not merge.
	page := uintptr(unix.Getpagesize())
	s.reserveLen = reserveMaps * page
	s.reserve = uint64(get(s.reserveLen))
	s.reserveEnd = s.reserve + uint64(s.reserveLen)
	for i := uintptr(0); i < reserveMaps && err == nil; i += 2 {
		if _, _, n := unix.Syscall(unix.SYS_MPROTECT, uintptr(s.reserve)+i*page, page, unix.PROT_NONE); n != 0 {
			return fmt.Errorf("prepare spare mappings: mprotect: %w", n)
		}
	}
	return err
}

// startThreads starts the keeper, the follower, the surgeon, the clerk, the watchdog and the disk threads.
func (e *Engine) startThreads() error {
	entry, _, _ := entries()
	for i, w := range e.workers {
		body := disk
		switch i {
		case 0:
			body = keeper
		case 1:
			body = follower
		case surgeonNumber:
			body = surgeon
		case clerkNumber:
			body = clerk
		case watchdogNumber:
			body = watchdog
		}
		at[worker](w).code, at[worker](w).body = codeOf(member), body
		t, err := raw.Start(entry, w)
		if err != nil {
			return err
		}
		e.threads = append(e.threads, t)
		raw.Store32(at[uint32](e.s.own+uintptr(i)*4), uint32(t.TID()))
		if i == surgeonNumber {
			first(t.TID())
		}
	}
	return e.allowFollower()
}

// promptly has the caller, until done, and threads that it starts meanwhile, for ever, run soon when they are started and when they are
// woken, also where other threads want all processors: with the shortest slice, which they inherit, they have the earliest deadline (sched_setattr(2), Linux
// 6.12; kernel/sched/fair.c, place_entity). What waits for them is a toucher, or all of them while memory is armed again. Older
// kernels know no slices.
func promptly() (done func()) {
	runtime.LockOSThread()
	done = runtime.UnlockOSThread
	if a, err := unix.SchedGetAttr(0, 0); err == nil && a.Policy == unix.SCHED_NORMAL {
		mine := *a
		a.Runtime = uint64(100 * time.Microsecond)
		if unix.SchedSetAttr(0, a, 0) == nil { // refused: as any other thread
			done = func() {
				unix.SchedSetAttr(0, &mine, 0)
				runtime.UnlockOSThread()
			}
		}
	}
	return done
}

// first has who stops all threads go before others, where CAP_SYS_NICE allows it: while it waits for a processor they stand still.
func first(tid int) {
	if a, err := unix.SchedGetAttr(tid, 0); err == nil && a.Policy == unix.SCHED_NORMAL {
		a.Nice = -20
		unix.SchedSetAttr(tid, a, 0)
	}
}

// allowFollower finds out whether an idle-class thread can be given the normal class back.
func (e *Engine) allowFollower() error {
	tid := uint32(e.threads[1].TID())
	p := &e.s.place
	p.tid = tid
	if _, _, n := unix.RawSyscall(unix.SYS_SCHED_GETAFFINITY, 0, unsafe.Sizeof(p.cpus), uintptr(unsafe.Pointer(&p.cpus))); n != 0 {
		return nil
	}
	w := at[worker](e.workers[1])
	if setClass(w, tid, unix.SCHED_IDLE) == 0 && setClass(w, tid, unix.SCHED_NORMAL) == 0 {
		raw.Store32(&p.allowed, 1)
	}
	return nil
}

// UserModeOnly reports whether faults inside system calls go unserved.
func (e *Engine) UserModeOnly() bool { return e.user }

// Follows reports whether the resolver can be kept on the toucher's CPU.
func (e *Engine) Follows() bool { return e.s.place.allowed != 0 }

// joinTimeout bounds the wait for a thread that may be in the middle of a disk read.
const joinTimeout = 10 * time.Second

// Stop ends the threads and gives everything back. Targets must have been removed before: memory
// that is still armed would have nobody to resolve its faults, so Stop refuses while there is any.
func (e *Engine) Stop() error {
	e.mu.Lock()
	left := len(e.targets)
	e.mu.Unlock()
	if left > 0 {
		return fmt.Errorf("%d memory ranges are still armed and stay served", left)
	}
	if e.s != nil {
		if err := e.stopThreads(); err != nil {
			return err // nothing is freed under a thread that runs
		}
		retireHandler()
		signal.Stop(unwanted)
	}
	err := e.opened.close()
	e.exposed.close()
	if e.s != nil && raw.Load64(&e.s.reserve) != 0 {
		left := uintptr(raw.Load64(&e.s.reserve)) // what was given up is anybody's
		e.mem[len(e.mem)-1] = offHeap{left, uintptr(e.s.reserveEnd) - left}
	}
	for _, m := range e.mem {
		freeOffHeap(m.p, m.size)
	}
	for r := range e.counted {
		freeOffHeap(uintptr(unsafe.Pointer(r.c)), countersLen)
	}
	e.s = nil
	running.Store(false)
	return err
}

func (e *Engine) stopThreads() error {
	s := e.s
	raw.Store32(&s.stop, 1)
	e.opened.wake()
	for i, t := range e.threads {
		// A thread that was about to sleep when stop was set is woken again and again.
		for deadline := time.Now().Add(joinTimeout); ; {
			raw.Add32(&s.queueBell, 1)
			raw.Add32(&s.cmd.bell, 1)
			raw.Add32(&s.errand.bell, 1)
			for _, p := range []*uint32{&s.queueBell, &s.cmd.bell, &s.errand.bell, &s.mode, &s.stop} {
				futexWake(p, 1<<30)
			}
			if t.Join(20 * time.Millisecond) {
				break
			}
			if n := raw.ExitRefused(); n != 0 {
				return fmt.Errorf("the engine's threads cannot end, and sleep: exit is refused: %w: %s", n, calls.Remedy)
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("thread %d of the engine did not end within %v", i, joinTimeout)
			}
		}
	}
	e.threads = nil
	return nil
}
