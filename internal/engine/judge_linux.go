//go:build linux && (amd64 || arm64)

//lint:file-ignore U1000 called through their code's addresses

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// Not every thread can be stopped by a signal. What stands in the way is read from /proc/self/task/TID:
//
//   - Some threads run nothing but the kernel's code (io_uring's workers, vhost): they have all signals blocked and
//     need not be stopped.
//   - A thread that waits in the kernel, for storage as a rule, takes our signal before it runs the next instruction of
//     the program. Where its system call changes no mapping, or it waits in a page fault, it counts as parked there.
//     What could still run on it before our handler is the handler of another signal that comes in these
//     microseconds and has a lower number.
//   - A thread that blocks our signal may run at any time and change any mapping. While there is one, nothing is done.

// What is known of a thread.
const (
	threadNew    = iota // it was not looked at
	threadHears         // it takes our signal
	threadKernel        // it is the kernel's
	threadDeaf          // it blocks our signal
	threadAway          // it waits in a system call that may change mappings
)

// A thread that starts has all signals blocked (newosproc, runtime/os_linux.go), and so has one in a handler. That is over
// soon after it runs, which on a busy machine may take long. So it is sent a signal, and is believed to block it for good
// when it has not answered for deafAfter and has not run since, though nothing keeps it from a processor, or has run for
// deafRuns, or when it has not answered for deafSurely.
const (
	deafAfter  = 10e6 // ns
	deafRuns   = 5e6
	deafSurely = 1e9
)

// Places in the surgeon's buffer, and their sizes.
const (
	taskList = 64 << 10 // of /proc/self/task
	taskText = 64 << 10 // of a file about one thread, behind that
)

// Bits of a thread's flags, include/linux/sched.h.
const (
	pfIOWorker   = 0x00000010
	pfUserWorker = 0x00004000 // Linux 6.4
)

// judge finds out what the worker's thread is, and whether it counts as parked where it waits. It ends the command for a
// thread that cannot be stopped.
//
//go:nosplit
//go:norace
//go:nocheckptr
func judge(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	a := &w.ask
	t := at[thread](a.thread)
	bit := uint64(1) << (raw.Load64(&s.signal) - 1)
	a.answer = 1
	blocked, pending, ok := s.masks(w, a.tid)
	now := raw.Nanotime()
	switch {
	case !ok:
		// It has ended, or nobody may look. What is not in the next list is gone.
		return
	case blocked&bit != 0 && s.readTask(w, a.tid, taskStat) && s.flags()&(pfIOWorker|pfUserWorker) != 0:
		t.kind, t.judged, a.answer = threadKernel, now, 0
		return
	case blocked&bit != 0:
		if t.kind != threadDeaf {
			t.kind, t.judged, t.ran = threadDeaf, now, s.processorTime(w, a.tid)
			if raw.Load32(&t.knocked) == 0 {
				raw.Store32(&t.knocked, 1)
				s.queueSignal(w, a.tid, valueKnock)
			}
		}
		deep(deaf, arg)
		return
	}
	before := t.kind
	t.kind = threadHears
	if a.what == askJudge && before != threadAway {
		return
	}
	a.pending = pending & bit
	deep(judgeCall, arg)
}

// judgeCall goes on with a thread that takes our signal: where it waits in the kernel.
//
//go:nosplit
//go:norace
//go:nocheckptr
func judgeCall(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	a := &w.ask
	t := at[thread](a.thread)
	bit := uint64(1) << (raw.Load64(&s.signal) - 1)
	// The call is read last, and the masks once more: it was made by the program, and not by a handler that has our
	// signal masked.
	if a.what == askAbout && a.pending == 0 || !s.readTask(w, a.tid, taskSyscall) {
		return
	}
	text := s.text + taskList
	nr, none := uint64(0), false
	switch c := *at[uint8](text); {
	case c == '-':
		none = true // it waits for a page
	case c < '0' || c > '9':
		return // "running": it is on a processor, or waits for one
	default:
		nr = uint64(decimal(text))
	}
	if !none && !s.isHarmless(nr) {
		// Without our signal only who cannot be interrupted will still be there.
		if a.what == askJudge && (!s.readTask(w, a.tid, taskStat) || s.state() != 'D') {
			return
		}
		t.kind = threadAway
		s.cmd.inCall = nr + 1
		s.blame(a.tid, whyAway)
		return
	}
	if a.what == askJudge {
		return
	}
	if blocked, pending, ok := s.masks(w, a.tid); ok && blocked&bit == 0 && pending&bit != 0 {
		raw.Store32(&t.parked, a.round)
		a.answer = 0
	}
}

// deaf ends the command for a thread that blocks our signal, but while others are parked not until that is sure.
//
//go:nosplit
//go:norace
//go:nocheckptr
func deaf(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	a := &w.ask
	t := at[thread](a.thread)
	long, why := raw.Nanotime()-t.judged, uint32(whyBegins)
	if raw.Load32(&t.knocked) == 0 { // it has answered, and was in a handler
		t.kind, why = threadHears, 0
	} else if long >= deafAfter {
		ran := s.processorTime(w, a.tid) - t.ran
		switch {
		case ran >= deafRuns, ran == 0 && s.readTask(w, a.tid, taskStat) && s.state() != 'R':
			why = whyDeaf
		case long >= deafSurely && !s.signals: // there a thread may be in the handler of SIGBUS again and again
			why = whyDeaf
		}
	}
	if why == 0 || why == whyBegins && a.what == askAbout {
		return
	}
	s.blame(a.tid, why)
	s.setName(w)
}

// processorTime reads the CPU clock of a thread, see threadTime. Where that is refused it is 0.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) processorTime(w *worker, tid uint32) int64 {
	p := uintptr(unsafe.Pointer(&w.args))
	if raw.Errno(raw.Syscall(unix.SYS_CLOCK_GETTIME, threadClock(int(tid)), p, 0, 0, 0, 0)) != 0 {
		return 0
	}
	return *at[int64](p)*1e9 + *at[int64](p + 8)
}

// idle answers whether a thread of the kernel's may be at work on memory: one that sleeps for work is not, and the one
// that polls (iou-sqp) leaves what discards memory to others (io_madvise_prep, io_uring/advise.c).
//
//go:nosplit
//go:norace
//go:nocheckptr
func idle(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	w.ask.answer = 0
	if !s.readTask(w, w.ask.tid, taskStat) || s.state() == 'S' || find(s.text+taskList, "(iou-sqp-") != 0 {
		return
	}
	w.ask.answer = 1
	s.cmd.culprit = w.ask.tid
}

// nameOf tells the command the name of the worker's thread.
//
//go:nosplit
//go:norace
//go:nocheckptr
func nameOf(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	if s.readTask(w, w.ask.tid, taskStatus) {
		s.setName(w)
	}
}

// setName takes the name from the text of a thread's status, which begins with it, or asks for it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) setName(w *worker) {
	to := uintptr(unsafe.Pointer(&s.cmd.name))
	p := find(s.text+taskList, "Name:\t")
	if p == 0 {
		*at[uint8](to) = 0
		if !s.readTask(w, w.ask.tid, taskStatus) {
			return
		}
		if p = find(s.text+taskList, "Name:\t"); p == 0 {
			return
		}
	}
	i := uintptr(0)
	for ; i < 15 && *at[uint8](p + i) >= ' '; i++ {
		*at[uint8](to + i) = *at[uint8](p + i)
	}
	*at[uint8](to + i) = 0
}

// masks reads which signals a thread blocks, and which wait for it alone.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) masks(w *worker, tid uint32) (blocked, pending uint64, ok bool) {
	if !s.readTask(w, tid, taskStatus) {
		return 0, 0, false
	}
	p := find(s.text+taskList, "\nSigPnd:\t")
	q := find(s.text+taskList, "\nSigBlk:\t")
	if p == 0 || q == 0 {
		return 0, 0, false
	}
	pending, _ = hexAt(p)
	blocked, _ = hexAt(q)
	return blocked, pending, true
}

// behindName is where in the text of a thread's stat the fields begin that follow its name, which may hold anything but
// is in parentheses.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) behindName() (p uintptr) {
	p = s.text + taskList
	for q := p; *at[uint8](q) != 0; q++ {
		if *at[uint8](q) == ')' {
			p = q + 2
		}
	}
	return p
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) state() uint8 {
	return *at[uint8](s.behindName())
}

// flags are the ninth field of a thread's stat.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) flags() uint32 {
	p := s.behindName()
	for field := 3; field < 9; p++ {
		switch *at[uint8](p) {
		case 0:
			return 0
		case ' ':
			field++
		}
	}
	return decimal(p)
}

// readTask reads a file about a thread into the surgeon's buffer, with a 0 behind it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) readTask(w *worker, tid uint32, file taskFile) bool {
	w.ask.tid, w.ask.file = tid, file
	deep(readTask, uintptr(unsafe.Pointer(w)))
	return w.ask.read
}

// taskFile is a file of /proc/self/task/TID.
type taskFile int

const (
	taskStatus taskFile = iota
	taskStat
	taskSyscall
	taskRuns
)

//go:nosplit
//go:norace
//go:nocheckptr
func readTask(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	w.ask.read = false
	path := uintptr(unsafe.Pointer(&w.vec))
	end := path + formatUint(path, uint64(w.ask.tid))
	switch w.ask.file {
	case taskStatus:
		end += uintptr(copyText(end, "/status"))
	case taskStat:
		end += uintptr(copyText(end, "/stat"))
	case taskRuns:
		end += uintptr(copyText(end, "/schedstat"))
	default:
		end += uintptr(copyText(end, "/syscall"))
	}
	*at[uint8](end) = 0
	text, n := s.text+taskList, uintptr(0)
	*at[uint8](text) = 0
	fd := raw.Syscall(unix.SYS_OPENAT, uintptr(s.taskFD), path, unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	if raw.Errno(fd) != 0 {
		return
	}
	// All of it in one read: the kernel makes the text of such a file at once (single_open, fs/seq_file.c).
	if got := raw.Syscall(unix.SYS_READ, fd, text, taskText-1, 0, 0, 0); raw.Errno(got) == 0 {
		n = got
	}
	raw.Syscall(unix.SYS_CLOSE, fd, 0, 0, 0, 0, 0)
	*at[uint8](text + n) = 0
	w.ask.read = n != 0
}

// find returns the address behind the first place of what in a text that ends with a 0, or 0.
//
//go:nosplit
//go:norace
//go:nocheckptr
func find(text uintptr, what string) uintptr {
	for ; *at[uint8](text) != 0; text++ {
		i := 0
		for i < len(what) && *at[uint8](text + uintptr(i)) == what[i] {
			i++
		}
		if i == len(what) {
			return text + uintptr(i)
		}
	}
	return 0
}
