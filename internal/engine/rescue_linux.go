//go:build linux && (amd64 || arm64)

package engine

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/calls"
	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// A seccomp filter that the process installs later may refuse ioctl(2) altogether, or just UFFDIO_WAKE. Then nobody who
// waits for a page can be told that it is there, and where pages are filled by ioctl they do not come either. What is left
// is the end of the userfaultfds: the kernel then makes all of their memory plain, and wakes everybody
// (userfaultfd_release, fs/userfaultfd.c). Before that everything that an armed page hides has to be back in its place,
// or its toucher would read zeros. So once the first such ioctl is refused, the surgeon
//
//   - leaves all faults unanswered, and waits for those in flight;
//   - parks the other threads where it can. Where it cannot, within five tries, it goes on without: between its look
//     at a mapping and the change of it nothing but a mremap lies;
//   - goes over /proc/self/smaps, which tells what is registered without an ioctl (VmFlags, "um"), and puts each
//     placeholder's file back, by mremap of the alias or by the file's path, and what the layers hold home, by mremap; files
//     that are delivered by SIGSEGV get their access back;
//   - has all threads of the engine end, which closes their descriptors, and closes its own. With delivery by signal the
//     process has some too: the next handler closes those.
//
// Where something cannot be put back nothing is closed, and the watchdog has the surgeon try again four times a second.

// silenced notes that an ioctl was refused, worker.refused, without which nobody can be woken, or memory not be made
// plain. No error of the kernel's own is taken for that.
//
//go:nosplit
//go:norace
//go:nocheckptr
func silenced(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	switch unix.Errno(w.refused) {
	case unix.EPERM, unix.EACCES, unix.ENOSYS:
		if raw.Cas64(&s.muted, 0, uint64(w.refused)) {
			futexWake(&s.cmd.bell, 1)
		}
	}
}

// unreleased is silenced for UFFDIO_UNREGISTER, without which memory cannot be given back, nor who waits for it be woken.
//
//go:nosplit
//go:norace
//go:nocheckptr
func unreleased(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	switch unix.Errno(w.refused) {
	case unix.EPERM, unix.EACCES, unix.ENOSYS:
		if raw.Load64(&s.muted) == 0 {
			raw.Store32(&s.bound, 1)
		}
	}
	silenced(arg)
}

// probeWake asks whether threads may be woken still: an empty range is a wrong argument. It asks for descriptors of
// the engine's threads, so no handler calls it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) probeWake(w *worker) {
	w.args[0], w.args[1] = 0, 0
	w.refused = s.ioctl(w, s.arenaFD, uffd.IoctlWake)
	deep(silenced, uintptr(unsafe.Pointer(w)))
}

// mute reports whether nobody can be woken any more.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) mute() bool { return raw.Load64(&s.muted) != 0 }

const (
	rescueParks  = 5   // tries to park the other threads
	rescueSettle = 1e9 // ns to wait for faults in flight
	smapsLen     = 64 << 10
	pagemapLen   = 4096 // entries that are read at once
)

// rescuing is what the surgeon keeps of an attempt.
type rescuing struct {
	opened bool
	known  bool // some flags were read
	line   mapLine
	flags  uint32 // of the mapping, see flagsOf
	failed bool
	lo, hi uintptr // the piece of w.carry.target
	from   uintptr // address of the first entry of the page map that was read
	parked bool
	status [4]uint32 // what the command had answered: nobody may have read it yet
	call   uintptr
	was    [4]uint64 // the command's target, dev, inode and cursor
}

// Flags of a mapping.
const (
	vmMissing  = 1 << iota // registered for missing pages
	vmDontcopy             // MADV_DONTFORK
)

// rescue is one attempt.
//
//go:nosplit
//go:norace
//go:nocheckptr
func rescue(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c, r := &s.cmd, &w.rescuing
	r.status, r.call = [4]uint32{c.status, c.errno, c.culprit, c.why}, c.call
	r.failed = false
	raw.Store32(&s.rescuing, 1) // no target is freed meanwhile, see publish
	s.setFrozen(1)
	s.settled(w, rescueSettle)
	start, still, park := raw.Nanotime(), raw.Load64(&s.still), c.park
	c.park = 1
	deep(rescuePark, arg)
	if !s.settled(w, rescueSettle) {
		r.failed = true
	}
	deep(rescueMaps, arg)
	if !r.failed && s.signals {
		deep(rescueAccess, arg)
	}
	if !r.failed {
		s.allOpen()
	}
	if r.parked {
		s.unpark()
		s.lasted(start, still)
	}
	c.park = park
	c.status, c.errno, c.culprit, c.why, c.call = r.status[0], r.status[1], r.status[2], r.status[3], r.call
	if r.failed {
		s.setFrozen(0)
	} else {
		deep(rescueEnd, arg)
	}
	raw.Store32(&s.rescuing, 0)
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) setFrozen(v uint32) {
	tab := uintptr(raw.Load64(&s.table))
	for i := uintptr(0); i < uintptr(at[table](tab).n); i++ {
		raw.Store32(&at[target](*at[uintptr](tab + tableHeader + i*8)).frozen, v)
	}
}

// settled waits until no fault is in flight, for ns at most.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) settled(w *worker, ns int64) bool {
	deadline := raw.Nanotime() + ns
	tab := uintptr(raw.Load64(&s.table))
	for i := uintptr(0); i < uintptr(at[table](tab).n); i++ {
		if !s.quiesce(w, at[target](*at[uintptr](tab + tableHeader + i*8)), deadline) {
			return false
		}
	}
	return true
}

// rescuePark parks the other threads where that can be had.
//
//go:nosplit
//go:norace
//go:nocheckptr
func rescuePark(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c, r := &s.cmd, &w.rescuing
	r.parked = false
	c.op = opDisarm
	for try := 0; try < rescueParks && s.signalStands(w, raw.Nanotime(), true); try++ {
		c.status = statusOK
		if s.askAll(w, askJudge); c.status == statusOK {
			if r.parked = s.parkAll(w, raw.Nanotime()+int64(stopLimit)); r.parked {
				return
			}
			s.unpark()
		}
		if c.status == statusFailed {
			return // trying again changes nothing
		}
		s.nap(w, 10e6)
	}
}

// rescueMaps goes over the mappings. A later attempt cannot use the descriptor from the start where lseek is refused,
// and the file cannot be opened where openat is.
//
//go:nosplit
//go:norace
//go:nocheckptr
func rescueMaps(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	r := &w.rescuing
	path := uintptr(unsafe.Pointer(&w.vec))
	*at[uint8](path + uintptr(copyText(path, smapsPath))) = 0
	fd := raw.Syscall(unix.SYS_OPENAT, atFDCWD, path, unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	if r.opened = raw.Errno(fd) == 0; !r.opened {
		fd = uintptr(s.smapsFD)
		raw.Syscall(unix.SYS_LSEEK, fd, 0, 0, 0, 0, 0)
	}
	have := uintptr(0)
	r.known = false
	for {
		n := raw.Syscall(unix.SYS_READ, fd, s.text+have, smapsLen-have, 0, 0, 0)
		if raw.Errno(n) != 0 {
			r.failed = true
			break
		}
		if n == 0 {
			break
		}
		have += n
		// Whole lines; the rest of one goes to the front.
		p, end := s.text, s.text+have
		for end > p && *at[uint8](end - 1) != '\n' {
			end--
		}
		for p < end {
			p = s.smapsLine(w, p, end)
		}
		have = s.text + have - end
		for i := uintptr(0); i < have; i++ {
			*at[uint8](s.text + i) = *at[uint8](end + i)
		}
	}
	if r.opened {
		raw.Syscall(unix.SYS_CLOSE, fd, 0, 0, 0, 0, 0)
	}
	if !r.known { // a kernel without flags of mappings (CONFIG_PROC_PAGE_MONITOR)
		r.failed = true
	}
}

// rescueAccess gives files that are delivered by SIGSEGV their access back: nobody will be there to do it later.
//
//go:nosplit
//go:norace
//go:nocheckptr
func rescueAccess(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c, r := &s.cmd, &w.rescuing
	r.was = [4]uint64{uint64(c.target), c.dev, c.inode, uint64(c.cursor)}
	// Once: nobody arms meanwhile, and what is plain by then stays so.
	path, n := uintptr(unsafe.Pointer(&w.vec)), uintptr(0)
	*at[uint8](path + uintptr(copyText(path, mapsPath))) = 0
	if fd := raw.Syscall(unix.SYS_OPENAT, atFDCWD, path, unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0); raw.Errno(fd) == 0 {
		n = readText(uint32(fd), s.text)
		raw.Syscall(unix.SYS_CLOSE, fd, 0, 0, 0, 0, 0)
	}
	if n == 0 {
		n = s.readMaps(w)
	}
	r.failed = n == 0
	tab := uintptr(raw.Load64(&s.table))
	for i := uintptr(0); i < uintptr(at[table](tab).n) && !r.failed; i++ {
		c.target = *at[uintptr](tab + tableHeader + i*8)
		t := at[target](c.target)
		if t.kind != kindFile {
			continue
		}
		c.op, c.status, c.dev, c.inode, c.cursor = opDisarm, statusOK, t.dev, t.inode, 0
		c.list, c.listEnd, c.listAt = s.text, s.text+n, s.text
		for more := true; more && !r.failed; more = c.cursor != 0 {
			deep(changeAccess, arg)
			r.failed = c.status != statusOK
		}
	}
	c.target, c.dev, c.inode, c.cursor = uintptr(r.was[0]), r.was[1], r.was[2], uintptr(r.was[3])
}

// smapsLine reads one line and returns where the next one begins. The flags are the last line of a mapping
// (show_smap, fs/proc/task_mmu.c).
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) smapsLine(w *worker, p, end uintptr) uintptr {
	r := &w.rescuing
	if c := *at[uint8](p); c >= 'a' && c <= 'f' || c >= '0' && c <= '9' {
		_, next := r.line.ParseAt(p, end)
		return next
	}
	if startsText(p, "VmFlags:") {
		r.flags, r.known = flagsOf(p), true
		if l := &r.line; r.flags&vmMissing != 0 && !l.Shared {
			deep(rescueMapping, uintptr(unsafe.Pointer(w)))
		}
	}
	for *at[uint8](p) != '\n' {
		p++
	}
	return p + 1
}

//go:nosplit
//go:norace
//go:nocheckptr
func flagsOf(p uintptr) (flags uint32) {
	// Two letters each, with a space between (proc_pid_smaps(5)).
	for ; *at[uint8](p + 1) != '\n'; p++ {
		switch {
		case startsText(p, " um"):
			flags |= vmMissing
		case startsText(p, " dc"):
			flags |= vmDontcopy
		}
	}
	return flags
}

// rescueMapping puts back what a registered mapping hides. What is kept from children, as all that hides something is,
// and is of no target was moved by the application: a disk thread puts that back, which is waited for. A placeholder
// that was not put into place yet has no access.
//
//go:nosplit
//go:norace
//go:nocheckptr
func rescueMapping(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	r := &w.rescuing
	next := r.line.Lo
	tab := uintptr(raw.Load64(&s.table))
	for i := uintptr(0); i < uintptr(at[table](tab).n); i++ {
		w.carry.target = *at[uintptr](tab + tableHeader + i*8)
		t := at[target](w.carry.target)
		if r.lo, r.hi = max(r.line.Lo, t.lo), min(r.line.Hi, t.hi); r.lo >= r.hi {
			continue
		}
		if t.kind == kindOverlay && r.lo == next && r.hi < r.line.Hi && s.find(r.hi) == nil {
			r.hi = r.line.Hi // the application has grown its mapping in place
		}
		if r.lo == next {
			next = r.hi
		}
		switch {
		case t.kind == kindOverlay:
			deep(rescueFile, arg)
		case t.kind == kindArena && raw.Load64(&t.old) != 0:
			deep(rescueMemory, arg)
		}
	}
	if next < r.line.Hi && r.flags&vmDontcopy != 0 && r.line.Prot != 0 && !s.ownMemory(next) {
		r.failed = true
	}
}

// ownMemory reports whether registered memory is a layer or a scratch page.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) ownMemory(addr uintptr) bool {
	for i := uintptr(0); i < maxWorkers; i++ {
		if p := *at[uintptr](uintptr(unsafe.Pointer(&s.workers)) + i*8); p != 0 && at[worker](p).scratch == addr&^(s.pageSize-1) {
			return true
		}
	}
	tab := uintptr(raw.Load64(&s.table))
	for i := uintptr(0); i < uintptr(at[table](tab).n); i++ {
		t := at[target](*at[uintptr](tab + tableHeader + i*8))
		old, young := uintptr(raw.Load64(&t.old)), uintptr(raw.Load64(&t.young))
		if old != 0 && addr-old < t.hi-t.lo || young != 0 && addr-young < t.hi-t.lo {
			return true
		}
	}
	return false
}

// rescueFile puts the file back over a piece of its placeholder.
//
//go:nosplit
//go:norace
//go:nocheckptr
func rescueFile(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	r := &w.rescuing
	t := at[target](w.carry.target)
	if raw.Load32(&t.changed) != 0 || r.line.Prot != t.prot {
		raw.Store32(&t.changed, 1)
		raw.Syscall(unix.SYS_MPROTECT, t.alias+r.lo-t.lo, min(r.hi, t.hi)-r.lo, uintptr(r.line.Prot), 0, 0, 0)
	}
	for {
		e := s.putBack(w, t, r.lo, r.hi-r.lo, r.lo, r.line.Prot)
		if e == 0 {
			return
		}
		if unix.Errno(e) != unix.ENOMEM || !s.giveUpReserve() {
			s.refuse(t, e)
			raw.Store64(&s.waited, uint64(raw.Nanotime()))
			r.failed = true
			return
		}
	}
}

// rescueMemory brings home what the layers hold of a piece of a target, in runs of pages, each of which becomes a mapping
// of its own until the descriptors are closed. Pages that nobody has yet may lie between.
//
//go:nosplit
//go:norace
//go:nocheckptr
func rescueMemory(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	r := &w.rescuing
	t := at[target](w.carry.target)
	r.from = 0
	for a := r.lo; a < r.hi; {
		layer := s.layerOf(w, t, a)
		if a += s.pageSize; layer <= 1 {
			continue
		}
		lo, end := a-s.pageSize, a
		for ; a < r.hi; a += s.pageSize {
			if is := s.layerOf(w, t, a); is == layer {
				end = a + s.pageSize
			} else if is != 0 {
				break
			}
		}
		w.carry.src, w.carry.dst, w.carry.length = layer+lo-t.lo, lo, end-lo
		if deep(rescueRun, arg); !w.carry.ok {
			r.failed = true
			return
		}
	}
	if t.flags&tgDontfork == 0 {
		raw.Syscall(unix.SYS_MADVISE, r.lo, r.hi-r.lo, unix.MADV_DOFORK, 0, 0, 0)
	}
}

// layerOf is the layer that holds the target's page at an address: 0 where nobody has it, 1 where it is home.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) layerOf(w *worker, t *target, addr uintptr) uintptr {
	r := &w.rescuing
	if r.from == 0 || addr-r.from >= pagemapLen*s.pageSize {
		r.from = addr
		s.readPagemap(w, t, 0, raw.Load64(&t.young))
		s.readPagemap(w, t, 1, raw.Load64(&t.old))
		s.readPagemap(w, t, 2, uint64(t.lo))
	}
	const bits = 1<<63 | 1<<62 // in memory, or swapped out
	i := (addr - r.from) / s.pageSize
	if *at[uint64](s.pagemapText(0) + i*8)&bits != 0 {
		return uintptr(raw.Load64(&t.young))
	}
	if *at[uint64](s.pagemapText(1) + i*8)&bits != 0 {
		return uintptr(raw.Load64(&t.old))
	}
	if *at[uint64](s.pagemapText(2) + i*8)&bits != 0 {
		return 1
	}
	return 0
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) pagemapText(which uintptr) uintptr {
	return s.text + smapsLen + which*pagemapLen*8
}

// readPagemap reads which pages are there from where the present piece begins. Where that is refused, the kernel touches
// what the layers hold: a page that is not there fails, as the descriptor of layers says. The target cannot be
// asked so, and counts as home where nothing else is known: then no run goes on over it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) readPagemap(w *worker, t *target, which uintptr, start uint64) {
	r := &w.rescuing
	to, addr := s.pagemapText(which), uintptr(start)+r.from-t.lo
	n := min(pagemapLen, (t.hi-r.from)/s.pageSize)
	for i := uintptr(0); i < n; i++ {
		*at[uint64](to + i*8) = 0
	}
	if start == 0 {
		return
	}
	for done := uintptr(0); done < n*8; {
		got := raw.Syscall(unix.SYS_PREAD64, uintptr(s.pagemapFD), to+done, n*8-done, addr/s.pageSize*8+done, 0, 0)
		if raw.Errno(got) != 0 || got == 0 {
			for i := done / 8; i < n; i++ {
				if which == 2 || touched(addr+i*s.pageSize, false) == 0 {
					*at[uint64](to + i*8) = 1 << 63
				}
			}
			return
		}
		done += got
	}
}

// rescueRun moves a run of pages of a layer, carry.src, with its mapping to the target, carry.dst. A layer may be several
// mappings, of which one call moves one.
//
//go:nosplit
//go:norace
//go:nocheckptr
func rescueRun(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	p, r := &w.carry, &w.rescuing
	t := at[target](p.target)
	p.ok = false
	locked := raw.Load32(&s.locking) != 0
	if locked {
		locked = raw.Locked(p.dst, s.pageSize)
		raw.Syscall(unix.SYS_MUNLOCK, p.src, p.length, 0, 0, 0, 0)
	}
	if r.line.Prot != unix.PROT_READ|unix.PROT_WRITE {
		raw.Syscall(unix.SYS_MPROTECT, p.src, p.length, uintptr(r.line.Prot), 0, 0, 0)
	}
	for n := p.length; p.length > 0; {
		n = min(n, p.length)
		switch e := raw.Errno(raw.Syscall(unix.SYS_MREMAP, p.src, n, n, remapOver|unix.MREMAP_DONTUNMAP, p.dst, 0)); {
		case e == 0:
			s.relock(w, p.dst, n, locked)
			raw.Add64(&s.maps, 2)
			p.src, p.dst, p.length = p.src+n, p.dst+n, p.length-n
			n = p.length
		case unix.Errno(e) == unix.EFAULT && n > s.pageSize:
			n = n / 2 &^ (s.pageSize - 1)
		case unix.Errno(e) == unix.ENOMEM && s.giveUpReserve():
		default:
			if denied(e) {
				s.bar(callRemap, e)
			}
			s.refuse(t, e)
			raw.Store64(&s.waited, uint64(raw.Nanotime()))
			return
		}
	}
	p.ok = true
}

// allOpen notes that nothing is armed any more.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) allOpen() {
	tab := uintptr(raw.Load64(&s.table))
	for i := uintptr(0); i < uintptr(at[table](tab).n); i++ {
		t := at[target](*at[uintptr](tab + tableHeader + i*8))
		if t.kind == kindOverlay || t.kind == kindFile {
			raw.Store64(&t.plain, uint64(t.hi)) // not the states: they are as many as there are granules, and never written to as a rule
			continue
		}
		t.setStates(t.lo, t.hi, gOpen)
	}
}

// rescueEnd has the other threads of the engine end, and closes the descriptors when theirs are closed.
//
//go:nosplit
//go:norace
//go:nocheckptr
func rescueEnd(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	raw.Store32(&s.stop, 1)
	for left := true; left; {
		w.args[0] = 1
		raw.Syscall(unix.SYS_WRITE, uintptr(s.stopFD), uintptr(unsafe.Pointer(&w.args)), 8, 0, 0, 0)
		raw.Add32(&s.queueBell, 1)
		raw.Add32(&s.errand.bell, 1)
		futexWake(&s.queueBell, 1<<30)
		futexWake(&s.errand.bell, 1<<30)
		futexWake(&s.mode, 1<<30)
		futexWake(&s.stop, 1<<30)
		left = false
		for i := uintptr(0); i < maxWorkers; i++ {
			if p := *at[uintptr](uintptr(unsafe.Pointer(&s.workers)) + i*8); p != 0 && p != arg && raw.Load32(&at[worker](p).closed) == 0 {
				left = true
			}
		}
		if left {
			s.nap(w, 200e3)
		}
	}
	s.closeAll(w)
	raw.Store32(&s.over, overThreads)
}

// closeAll closes the descriptors of the calling thread of the engine.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) closeAll(w *worker) {
	if closeRange(0, ^uint32(0), 0) != 0 {
		for i := range s.keep {
			raw.Syscall(unix.SYS_CLOSE, uintptr(s.keep[i]), 0, 0, 0, 0, 0)
		}
	}
	raw.Store32(&w.closed, 1)
}

// Values of shared.over.
const (
	overThreads = 1 + iota // the engine's threads have closed what they had
	overCloses             // a thread of the process closes what that has
	overAll
)

// overGrace is for how long a signal is not believed to be the program's own after the last descriptor was closed: a
// system call on it may still be on its way out.
const overGrace = 100e6 // ns

// closeExposed closes the userfaultfds in the table of the process, on one of its threads, where their numbers are theirs
// still: the application may have closed one and used it again. That is believed where nothing tells. It reports whether
// the fault is to be made again.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) closeExposed(w *worker) (again bool) {
	if raw.Cas32(&s.over, overThreads, overCloses) {
		for i := uintptr(0); i < exposedUserfaultfds; i++ {
			x := at[exposedID](uintptr(unsafe.Pointer(&s.exposed)) + i*unsafe.Sizeof(exposedID{}))
			dev, inode, told := s.statOf(w, uintptr(x.fd))
			if !told || dev == x.dev && inode == x.inode {
				raw.Syscall(unix.SYS_CLOSE, uintptr(x.fd), 0, 0, 0, 0, 0)
			}
		}
		raw.Store64(&s.overSince, uint64(raw.Nanotime()))
		raw.Store32(&s.over, overAll)
		return true
	}
	if raw.Load32(&s.over) == overAll && raw.Nanotime()-int64(raw.Load64(&s.overSince)) > overGrace {
		return false
	}
	s.nap(w, 200e3)
	return true
}

// exposedID is a number in the table of the process, and what stat tells of it.
type exposedID struct {
	fd         uint64
	dev, inode uint64
}

// exposedUserfaultfds is how many of the exposed descriptors are userfaultfds: the first ones.
const exposedUserfaultfds = 1

// isOver reports whether everything was made plain memory, and the engine's threads have closed what they had.
func (e *Engine) isOver() bool { return raw.Load32(&e.s.over) != 0 }

// Muted is the errno with which ioctl(2) was refused so that all memory has to be made plain, or 0, and whether that is
// done.
func (e *Engine) Muted() (errno unix.Errno, over bool) {
	return unix.Errno(raw.Load64(&e.s.muted)), e.isOver()
}

// rescueWait bounds how long giving memory back waits for it to be made plain.
const rescueWait = 5 * time.Second

// givenBack reports whether memory that cannot be given back by ioctl is plain memory all the same, or becomes so now.
func (e *Engine) givenBack() bool {
	for end := Now() + rescueWait; e.s.mute() && !e.isOver() && Now() < end; {
		time.Sleep(time.Millisecond)
	}
	return e.isOver()
}

// MutedBy is the call whose refusal Muted tells of.
func (e *Engine) MutedBy() string {
	if raw.Load32(&e.s.bound) != 0 {
		return "ioctl(UFFDIO_UNREGISTER)"
	}
	return "ioctl(UFFDIO_WAKE)"
}

// mutedError is why nothing can be armed any more.
func (e *Engine) mutedError(errno unix.Errno) error {
	return fmt.Errorf("%w: %s is refused since the profiler started: %w: all memory is plain again, and nothing is observed: %s",
		uffd.ErrNotSupported, e.MutedBy(), errno, calls.Remedy)
}
