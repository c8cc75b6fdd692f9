//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// Where the resolver runs decides what a fault costs: a wake-up that crosses to an idle CPU costs
// many times the fault itself, and the scheduler prefers an idle CPU both for the resolver and,
// when it is woken, for the toucher. So while threads fault in quick succession, a second
// resolver takes over that is bound to the toucher's CPU and belongs to SCHED_IDLE: a CPU that
// runs nothing else counts as idle (sched_idle_cpu, kernel/sched/fair.c), so the toucher is woken
// where it was, at once, and the resolver goes on when it blocks again. When several threads fault in
// turns, those on other CPUs are woken across, and wait for that while the one here is served.
//
// An idle-class thread starves when other threads want its CPU. The keeper therefore looks after one
// millisecond, and then every two, four, eight, whether messages wait while the follower does not move, and
// if so gives it the normal class back (which needs CAP_SYS_NICE: without it there is no follower) and reads
// itself. On a machine that stays busy the follower is tried ever more rarely: each try costs somebody that
// time.

const (
	followAfter = 2      // faults in quick succession until the follower takes over, which costs what one of them does
	followGap   = 200e3  // ns between them at most
	backoffNS   = 50e6   // after a rescue, so long without the follower; twice as long after the next one,
	backoffMost = 1600e6 // and so on until this, unless it was let run for leftAlone faults in between
	leftAlone   = 1024
	missesMost  = 1 << 8 // empty reads in a row of leftAlone faults: the toucher does not stay
)

// follower state that both readers see.
type placement struct {
	allowed  uint32 // the keeper can rescue the follower
	barred   uint32 // an operation of the surgeon waits for who reads: not for a thread of the idle class
	recalls  uint32 // times that the follower was told to stop: it may read again at once, but not as it is
	tid      uint32 // of the follower
	toucher  uint32
	stalls   uint32 // rescues
	notUntil int64
	backoff  uint64 // of the last rescue, ns; 0 when there was none lately
	switches uint64
	cpus     [16]uint64 // the CPUs that the process may use, to free the follower's binding
}

// follow notes who touched and hands over to the follower when it is worth it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) follow(w *worker, tid uint32, now int64) {
	if w.runs++; now-w.lastTime >= followGap {
		w.runs = 0
	}
	w.lastTID, w.lastTime = tid, now
	if w.runs < followAfter || raw.Load32(&s.mode) == modeFollower ||
		s.place.allowed == 0 || now < s.place.notUntil || raw.Load32(&s.place.barred) != 0 {
		return
	}
	w.runs = 0
	raw.Store32(&s.place.toucher, tid)
	s.place.switches++
	if !raw.Cas32(&s.mode, modeKeeper, modeFollower) {
		return
	}
	if raw.Load32(&s.place.barred) != 0 {
		s.recall(w) // since it was looked at
		return
	}
	futexWake(&s.mode, 1<<30)
}

// follower is the loop of the idle-class resolver.
//
//go:nosplit
//go:norace
//go:nocheckptr
func follower(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	for raw.Load32(&s.stop) == 0 {
		if raw.Load32(&s.mode) != modeFollower {
			futexWait(w, &s.mode, modeKeeper, 0)
			continue
		}
		recalls := raw.Load32(&s.place.recalls)
		tid := raw.Load32(&s.place.toucher)
		cpu := s.bind(w, s.cpuOf(w, tid))
		setClass(w, 0, unix.SCHED_IDLE)
		s.chase(w, cpu, recalls)
		if raw.Cas32(&s.mode, modeFollower, modeKeeper) {
			futexWake(&s.mode, 1<<30)
		}
	}
}

// chase reads until the burst is over, or the follower is recalled, and keeps to the toucher's CPU.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) chase(w *worker, cpu, recalls uint32) {
	misses, faults := 0, 0
	hot, other := s.arenaFD, s.overlayFD
	for raw.Load32(&s.mode) == modeFollower && raw.Load32(&s.place.recalls) == recalls && raw.Load32(&s.stop) == 0 {
		n := s.drain(w, hot)
		if n == 0 {
			if n = s.drain(w, other); n != 0 {
				hot, other = other, hot
			}
		}
		if n != 0 {
			faults += int(n)
			if faults > leftAlone {
				misses, faults = 0, 0
				raw.Store64(&s.place.backoff, 0)
			}
			continue
		}
		// Nothing to read at once: the toucher does other work, or was woken elsewhere.
		if misses++; misses > missesMost {
			s.place.notUntil = raw.Nanotime() + backoffNS
			return
		}
		tid := w.lastTID
		if tid == 0 {
			tid = raw.Load32(&s.place.toucher)
		}
		if c := s.cpuOf(w, tid); c != cpu {
			cpu = s.bind(w, c)
		}
		if ready := s.wait(w, quietMS); ready == 0 || ready&4 != 0 {
			return
		}
	}
}

// watch is the keeper's look at the follower; it returns the progress seen.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) watch(w *worker, before uint64) uint64 {
	f := at[worker](s.followerWorker)
	p := raw.Load64(&f.progress)
	if p != before || s.wait(w, 0)&3 == 0 && raw.Load32(&f.busy) == 0 {
		return p
	}
	if s.recall(w) {
		raw.Add32(&s.place.stalls, 1)
		pause := min(max(2*raw.Load64(&s.place.backoff), backoffNS), backoffMost)
		raw.Store64(&s.place.backoff, pause)
		s.place.notUntil = raw.Nanotime() + int64(pause)
	}
	return p
}

// recall has the keeper read, and lets the follower finish as a normal thread on any CPU. It reports whether the
// follower was at it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) recall(w *worker) bool {
	if !raw.Cas32(&s.mode, modeFollower, modeKeeper) {
		return false
	}
	raw.Add32(&s.place.recalls, 1)
	futexWake(&s.mode, 1<<30)
	setClass(w, s.place.tid, unix.SCHED_NORMAL)
	raw.Syscall(unix.SYS_SCHED_SETAFFINITY, uintptr(s.place.tid), uintptr(unsafe.Sizeof(s.place.cpus)),
		uintptr(unsafe.Pointer(&s.place.cpus)), 0, 0, 0)
	return true
}

// setClass sets the scheduling class of a thread, 0 is the caller.
//
//go:nosplit
//go:norace
//go:nocheckptr
func setClass(w *worker, tid uint32, policy uintptr) uintptr {
	// struct sched_param is one int, the priority, 0 here.
	w.args[10] = 0
	return raw.Errno(raw.Syscall(unix.SYS_SCHED_SETSCHEDULER, uintptr(tid), policy, uintptr(unsafe.Pointer(&w.args[10])), 0, 0, 0))
}

// bind keeps the calling thread on one CPU, and returns it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) bind(w *worker, cpu uint32) uint32 {
	if cpu >= cpuBits {
		return cpu
	}
	m := (*[cpuBits / 64]uint64)(unsafe.Pointer(&w.vec))
	for i := range m {
		m[i] = 0
	}
	*at[uint64](uintptr(unsafe.Pointer(m)) + uintptr(cpu/64)*8) = 1 << (cpu % 64)
	raw.Syscall(unix.SYS_SCHED_SETAFFINITY, 0, cpuBits/8, uintptr(unsafe.Pointer(m)), 0, 0, 0)
	return cpu
}

const cpuBits = 1024

// cpuOf reads on which CPU a thread last ran, field 39 of /proc/self/task/TID/stat
// (proc_pid_stat(5)). It answers cpuBits when that cannot be read.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) cpuOf(w *worker, tid uint32) uint32 {
	path := uintptr(unsafe.Pointer(&w.vec))
	n := uintptr(copyText(path, taskPath))
	n += formatUint(path+n, uint64(tid))
	n += uintptr(copyText(path+n, statName))
	*at[uint8](path + n) = 0
	fd := raw.Syscall(unix.SYS_OPENAT, atFDCWD, path, unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	if raw.Errno(fd) != 0 {
		return cpuBits
	}
	got := raw.Syscall(unix.SYS_READ, fd, path, uintptr(len(w.vec)), 0, 0, 0)
	raw.Syscall(unix.SYS_CLOSE, fd, 0, 0, 0, 0, 0)
	if raw.Errno(got) != 0 {
		return cpuBits
	}
	// The name, in parentheses, may hold anything: count fields from the last one that closes.
	i := got
	for i > 0 && *at[uint8](path + i - 1) != ')' {
		i--
	}
	cpu, field := uint32(0), 2
	for ; i < got && field <= 39; i++ {
		switch c := *at[uint8](path + i); {
		case c == ' ':
			field++
		case field == 39 && c >= '0' && c <= '9':
			cpu = cpu*10 + uint32(c-'0')
		}
	}
	if field < 39 {
		return cpuBits
	}
	return cpu
}

const (
	atFDCWD  = ^uintptr(99) // AT_FDCWD, -100
	taskPath = "/proc/self/task/"
	statName = "/stat"
)

//go:nosplit
//go:norace
//go:nocheckptr
func copyText(to uintptr, text string) int {
	for i := 0; i < len(text); i++ {
		*at[uint8](to + uintptr(i)) = text[i]
	}
	return len(text)
}

//go:nosplit
//go:norace
//go:nocheckptr
func formatUint(to uintptr, v uint64) (n uintptr) {
	for d := v; n == 0 || d > 0; d /= 10 {
		n++
	}
	for i := n; i > 0; i-- {
		*at[uint8](to + i - 1) = '0' + byte(v%10)
		v /= 10
	}
	return n
}
