//go:build linux && (amd64 || arm64)

package perfevents

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// ErrNotSupported: page faults cannot be had as perf events here. The text says why, and what would change it.
var ErrNotSupported = errors.New("perf events cannot be had")

// Config says what to read.
type Config struct {
	// Buffer is how many bytes each processor's buffer has, a power of two; 0 is 512 KiB, what an ordinary user may lock where
	// perf_event_mlock_kb is not changed. Where that is refused, a smaller one is taken, of 32 KiB at least.
	Buffer int
	Stacks bool // call chains
	// UserOnly leaves out the faults inside system calls, also where they may be had.
	UserOnly bool
}

// Reader reads the faults of all threads of its process, those that come later too. It is safe for concurrent use.
type Reader struct {
	config   Config
	userOnly bool
	buffer   int
	threads  bool // the kernel knows inherit_thread
	pid      uint32

	mu      sync.Mutex // guards what follows
	cpus    []*perCPU
	events  []event
	decoder decoder
	pairer  pairer
	later   []rawRecord // newer than what the last Read was for
	asked   int64       // when the kernel was asked last whether threads are in a fault
	closed  bool
}

// perCPU is the buffer of a processor.
type perCPU struct {
	cpu  int
	out  int // the descriptor that the buffer is of, -1 before
	mem  []byte
	ring ring
}

// event is an open one.
type event struct {
	fd int
	id uint64
}

// StackDepth is how many addresses a stack has at most, as with the engine.
const StackDepth = 62

// Bits of struct perf_event_attr that x/sys does not name.
const (
	bitInheritThread = 1 << 35 // Linux 5.13
)

const (
	defaultBuffer  = 512 << 10
	smallestBuffer = 32 << 10
)

// Possible says whether Open would be allowed, and why not. It opens one event and closes it.
func Possible() (systemCalls bool, err error) {
	r := &Reader{config: Config{Stacks: true}}
	if err := r.choose(); err != nil {
		return false, err
	}
	return !r.userOnly, nil
}

// choose finds out what the kernel allows.
func (r *Reader) choose() error {
	r.threads = true
	r.userOnly = r.config.UserOnly
	for {
		fd, err := r.open(begin, 0, -1)
		switch {
		case err == nil:
			unix.Close(fd)
			return nil
		case err == unix.EINVAL && r.threads:
			r.threads = false
		case (err == unix.EACCES || err == unix.EPERM) && !r.userOnly:
			r.userOnly, r.threads = true, true
		default:
			return refused("perf_event_open", err)
		}
	}
}

// Open opens the events of each thread that there is. ErrNotSupported where that is refused.
func Open(c Config) (*Reader, error) {
	if c.Buffer == 0 {
		c.Buffer = defaultBuffer
	}
	if c.Buffer < os.Getpagesize() || c.Buffer&(c.Buffer-1) != 0 {
		return nil, fmt.Errorf("perf buffer of %d bytes: choose a power of two, a page or more", c.Buffer)
	}
	r := &Reader{config: c, buffer: c.Buffer, pid: uint32(os.Getpid())}
	r.decoder.kinds = make(map[uint64]kind)
	if c.Stacks {
		r.decoder.regs = registersLen
	}
	if err := r.choose(); err != nil {
		return nil, err
	}
	cpus, err := online()
	if err != nil {
		return nil, err
	}
	for {
		r.cpus, r.closed = nil, false
		for _, cpu := range cpus {
			r.cpus = append(r.cpus, &perCPU{cpu: cpu, out: -1})
		}
		err := r.attach()
		if err == nil {
			return r, nil
		}
		if err := errors.Join(err, r.Close()); !errors.Is(err, errLocked) || r.buffer/2 < max(smallestBuffer, os.Getpagesize()) {
			return nil, err
		}
		r.buffer /= 2 // all of them
	}
}

// errLocked: the buffers would be more locked memory than the user may have.
var errLocked = errors.New("more locked memory than this user may have")

// UserOnly reports whether faults inside system calls are not seen.
func (r *Reader) UserOnly() bool { return r.userOnly }

// Buffer is how many bytes each processor's buffer has.
func (r *Reader) Buffer() int { return r.buffer }

// Descriptors is how many are open for it.
func (r *Reader) Descriptors() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.events)
}

// Memory lists the buffers, which are mapped.
func (r *Reader) Memory() (list [][2]uintptr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.cpus {
		if c.mem != nil {
			lo := uintptr(unsafe.Pointer(unsafe.SliceData(c.mem)))
			list = append(list, [2]uintptr{lo, lo + uintptr(len(c.mem))})
		}
	}
	return list
}

// attach opens the events of all threads: it lists them until a list has no new one. From then on each thread is observed,
// or was made by one that was, and inherited that.
func (r *Reader) attach() error {
	known := make(map[int]bool)
	for {
		list, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("%w: the threads of this process cannot be listed, which needs /proc: %w", ErrNotSupported, err)
		}
		fresh := 0
		for _, e := range list {
			tid, err := strconv.Atoi(e.Name())
			if err != nil || known[tid] {
				continue
			}
			known[tid] = true
			fresh++
			if err := r.room(len(list)); err != nil {
				return err
			}
			if err := r.attachThread(tid); err != nil && err != unix.ESRCH { // else it has ended
				return err
			}
		}
		if fresh == 0 {
			return nil
		}
	}
}

// kinds are the events of each thread and processor.
var kinds = []kind{begin, major, minor}

// room looks whether the process has descriptors enough: half of them stay its own.
func (r *Reader) room(threads int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil // then opening tells
	}
	if want := uint64(threads * len(r.cpus) * len(kinds)); want > limit.Cur/2 {
		return fmt.Errorf("%w: %d threads on %d processors need %d descriptors, and half of the process's %d may be taken: start the profiler earlier, while there are few threads, or raise RLIMIT_NOFILE (ulimit -n)",
			ErrNotSupported, threads, len(r.cpus), want, limit.Cur)
	}
	return nil
}

func (r *Reader) attachThread(tid int) error {
	for _, c := range r.cpus {
		for _, k := range kinds {
			fd, err := r.open(k, tid, c.cpu)
			if err == unix.ENODEV { // the processor went
				break
			}
			if err == unix.ESRCH {
				return err
			}
			if err != nil {
				return refused("perf_event_open", err)
			}
			var id uint64
			if err := ioctl(fd, unix.PERF_EVENT_IOC_ID, uintptr(unsafe.Pointer(&id))); err != nil {
				unix.Close(fd)
				return refused("ioctl(PERF_EVENT_IOC_ID)", err)
			}
			r.events = append(r.events, event{fd, id})
			r.decoder.kinds[id] = k
			if c.out < 0 {
				err = r.mmap(c, fd)
			} else if err = ioctl(fd, unix.PERF_EVENT_IOC_SET_OUTPUT, uintptr(c.out)); err != nil {
				err = refused("ioctl(PERF_EVENT_IOC_SET_OUTPUT)", err)
			}
			if err != nil {
				return err
			}
		}
	}
	// All of them at once, so that a fault has the begin that it ends with.
	for _, e := range r.events[max(0, len(r.events)-len(r.cpus)*len(kinds)):] {
		if err := ioctl(e.fd, unix.PERF_EVENT_IOC_ENABLE, 0); err != nil {
			return refused("ioctl(PERF_EVENT_IOC_ENABLE)", err)
		}
	}
	return nil
}

// mmap maps the buffer of a processor.
func (r *Reader) mmap(c *perCPU, fd int) error {
	page := os.Getpagesize()
	mem, err := unix.Mmap(fd, 0, page+r.buffer, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err == unix.EPERM {
		return fmt.Errorf("%w: a buffer of %d KiB for each of %d processors would be %w: raise /proc/sys/kernel/perf_event_mlock_kb, which is for all processes of the user, or RLIMIT_MEMLOCK (ulimit -l), or end what else uses perf events as this user: mmap: %w",
			ErrNotSupported, r.buffer>>10, len(r.cpus), errLocked, err)
	}
	if err != nil {
		return refused("mmap of a perf buffer", err)
	}
	head := (*unix.PerfEventMmapPage)(unsafe.Pointer(unsafe.SliceData(mem)))
	c.out, c.mem = fd, mem
	c.ring = ring{head: &head.Data_head, tail: &head.Data_tail, data: mem[page:]}
	return nil
}

// open opens one event, which does not count yet.
func (r *Reader) open(k kind, tid, cpu int) (int, error) {
	a := unix.PerfEventAttr{
		Type: unix.PERF_TYPE_SOFTWARE, Sample: 1, Clockid: unix.CLOCK_MONOTONIC,
		Sample_type: unix.PERF_SAMPLE_IDENTIFIER | unix.PERF_SAMPLE_IP | unix.PERF_SAMPLE_TID | unix.PERF_SAMPLE_TIME | unix.PERF_SAMPLE_ADDR,
		Bits: unix.PerfBitDisabled | unix.PerfBitInherit | unix.PerfBitExcludeHv | unix.PerfBitExcludeCallchainKernel |
			unix.PerfBitSampleIDAll | unix.PerfBitUseClockID | unix.PerfBitWatermark,
	}
	a.Size = uint32(unsafe.Sizeof(a))
	a.Wakeup = uint32(r.buffer / 4) // bytes
	switch k {
	case begin:
		a.Config = unix.PERF_COUNT_SW_PAGE_FAULTS
		a.Bits |= unix.PerfBitMmap | unix.PerfBitMmap2 | unix.PerfBitMmapData
	case major:
		a.Config = unix.PERF_COUNT_SW_PAGE_FAULTS_MAJ
	case minor:
		a.Config = unix.PERF_COUNT_SW_PAGE_FAULTS_MIN
	}
	if k == begin && r.config.Stacks {
		a.Sample_type |= unix.PERF_SAMPLE_CALLCHAIN | unix.PERF_SAMPLE_REGS_USER | unix.PERF_SAMPLE_STACK_USER
		a.Sample_regs_user, a.Sample_stack_user, a.Sample_max_stack = registersMask, 8, StackDepth
	}
	if r.userOnly {
		a.Bits |= unix.PerfBitExcludeKernel
	}
	if r.threads {
		a.Bits |= bitInheritThread
	}
	for {
		fd, err := unix.PerfEventOpen(&a, tid, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func ioctl(fd int, request, arg uintptr) error {
	if _, _, n := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, arg); n != 0 {
		return n
	}
	return nil
}

// refused says why the kernel did not allow a call.
func refused(call string, err error) error {
	why := ""
	switch err {
	case unix.EACCES, unix.EPERM:
		why = "perf_event_paranoid is " + paranoid() + ", or a seccomp filter refuses the call, as a container's default profile does: " +
			"set /proc/sys/kernel/perf_event_paranoid to 2 or less, give the process CAP_PERFMON, and allow perf_event_open in its seccomp profile"
	case unix.ENOSYS:
		why = "the kernel is built without perf events, or a seccomp filter hides the call: allow perf_event_open in the seccomp profile"
	case unix.EMFILE, unix.ENFILE:
		why = "the process has no descriptors left: raise RLIMIT_NOFILE (ulimit -n)"
	default:
		return fmt.Errorf("%w: %s: %w", ErrNotSupported, call, err)
	}
	return fmt.Errorf("%w: %s: %s: %w", ErrNotSupported, why, call, err)
}

// paranoid is the kernel's setting, in words.
func paranoid() string {
	text, err := os.ReadFile("/proc/sys/kernel/perf_event_paranoid")
	if err != nil {
		return "not to be read"
	}
	return strings.TrimSpace(string(text))
}

// online lists the processors that run.
func online() ([]int, error) {
	text, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return nil, fmt.Errorf("%w: which processors there are is not known: %w", ErrNotSupported, err)
	}
	return parseList(strings.TrimSpace(string(text)))
}

func parseList(text string) (list []int, err error) {
	for part := range strings.SplitSeq(text, ",") {
		lo, hi, span := strings.Cut(part, "-")
		if !span {
			hi = lo
		}
		a, err1 := strconv.Atoi(lo)
		b, err2 := strconv.Atoi(hi)
		if err1 != nil || err2 != nil || a < 0 || b < a || b > 1<<16 {
			return nil, fmt.Errorf("%w: which processors there are is not known from %q", ErrNotSupported, text)
		}
		for cpu := a; cpu <= b; cpu++ {
			list = append(list, cpu)
		}
	}
	return list, nil
}

// Batch is what one Read has found.
type Batch struct {
	Until  int64    // CLOCK_MONOTONIC, ns: all that happened before it is in this batch or an earlier one
	Faults []Fault  // by End, but for those that were Interrupted, which come two seconds later
	Mapped []Mapped // by time
	// Lost counts records that found no room: faults, their begins and mappings, of all memory of the process.
	Lost uint64
}

// Read reads what there is. A thread's faults before the call are in its answer, or in an earlier one.
func (r *Reader) Read() (b Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// What is newer than this moment waits for the next time: a thread that has moved may have left its earlier records in a buffer
	// that was read before.
	b.Until = raw.Monotonic()
	list := r.later
	var chain []uintptr
	for _, c := range r.cpus {
		if c.mem == nil {
			continue
		}
		if !c.ring.read(func(record []byte) {
			var rec rawRecord
			var ok bool
			rec, chain, ok = r.decoder.decode(record, chain)
			if !ok {
				return
			}
			b.Lost += rec.lost
			if rec.lost == 0 && rec.pid == r.pid {
				list = append(list, rec)
			}
		}) {
			b.Lost++
		}
	}
	byTime(list)
	n, _ := slices.BinarySearchFunc(list, b.Until, func(rec rawRecord, until int64) int {
		if rec.time <= until {
			return -1
		}
		return 1
	})
	for i := range list[:n] {
		rec := &list[i]
		if rec.mapped != nil {
			b.Mapped = append(b.Mapped, *rec.mapped)
		} else if f, ok := r.pairer.pair(rec); ok {
			b.Faults = append(b.Faults, f)
		}
	}
	r.later = slices.Clone(list[n:])
	if long := r.pairer.long(b.Until); len(long) > 0 && b.Until-r.asked > int64(time.Second) {
		r.asked = b.Until
		for _, tid := range long {
			if !inFault(tid) {
				r.pairer.interrupt(r.pairer.open[tid])
			}
		}
	}
	b.Faults = append(b.Faults, r.pairer.interrupted(b.Until)...)
	return b
}

// inFault reports whether a thread may be in a page fault: it runs, or waits in a way that a signal does not end (proc_pid_stat(5)).
func inFault(tid uint32) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", tid))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ESRCH)
	}
	i := strings.LastIndexByte(string(text), ')') // of its name
	return i < 0 || i+2 >= len(text) || text[i+2] == 'D' || text[i+2] == 'R'
}

// Waiting counts the threads that were in a fault for longer than so many nanoseconds when Read was called last, and the faults that a
// signal has interrupted and that were not made again yet, at addresses for which has says yes.
func (r *Reader) Waiting(longer int64, has func(address uintptr) bool) (threads, interrupted int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pairer.waiting(raw.Monotonic(), longer, has)
}

// Wait waits until a buffer is a quarter full, or as many milliseconds, and reports whether one was.
func (r *Reader) Wait(milliseconds int) bool {
	r.mu.Lock()
	var fds []unix.PollFd
	for _, c := range r.cpus {
		if c.out >= 0 {
			fds = append(fds, unix.PollFd{Fd: int32(c.out), Events: unix.POLLIN})
		}
	}
	r.mu.Unlock()
	most := unix.NsecToTimespec(int64(milliseconds) * int64(time.Millisecond))
	if n, err := unix.Ppoll(fds, &most, nil); n == 0 && err == nil || err == unix.EINTR {
		return false
	}
	if r.filled() {
		return true
	}
	// The call is refused, the first thread has ended, or a descriptor is something else by now: so it does not wait.
	time.Sleep(time.Duration(milliseconds) * time.Millisecond)
	return r.filled()
}

// filled reports whether a buffer is nearly a quarter full.
func (r *Reader) filled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.cpus, func(c *perCPU) bool { return c.mem != nil && c.ring.used() >= uint64(r.buffer/8) })
}

// Gone counts the events, of all, whose descriptors are not ours any more: the application has closed them, and the faults
// that they are for are not seen.
func (r *Reader) Gone() (gone, all int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if !e.ours() {
			gone++
		}
	}
	return gone, len(r.events)
}

// ours reports whether the descriptor is still the event's.
func (e *event) ours() bool {
	var id uint64
	return ioctl(e.fd, unix.PERF_EVENT_IOC_ID, uintptr(unsafe.Pointer(&id))) == nil && id == e.id
}

// Close ends the events. A descriptor that the application has closed, and used for something else, stays.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	var errs []error
	for _, c := range r.cpus {
		if c.mem != nil {
			errs = append(errs, unix.Munmap(c.mem))
			c.mem = nil
		}
	}
	for _, e := range r.events {
		if e.ours() {
			errs = append(errs, unix.Close(e.fd))
		}
	}
	r.events = nil
	return errors.Join(errs...)
}
