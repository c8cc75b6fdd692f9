//go:build linux && (amd64 || arm64)

package engine

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// A process may lock its memory (mlock, mlockall), so that it is never written to swap or read again. The kernel keeps
// that as a flag of each mapping, which is lost where the engine replaces one. So it looks whether what it replaces is
// locked, and locks what comes in its place.
//
// A mapping that is locked at once (mlock) holds all of its pages: there is no first touch to observe, and its pages
// would have to be let go. It is refused. One that is locked on fault (MLOCK_ONFAULT, MCL_ONFAULT) is covered where it is
// of a file; what was touched of it stays locked by way of the alias.

// maxLocks is how many ranges of one target can be locked apart.
const maxLocks = 16

// room is what the Go runtime may map at once: a step of its heap, or the stacks of eight threads of C.
const room = 64 << 20

// roomToStart refuses a process that locks its new memory and may lock hardly more: the Go runtime ends it when it
// cannot have a thread or a piece of heap, and starting takes some.
func roomToStart() error {
	page := uintptr(unix.Getpagesize())
	p, locked, err := raw.Map(page, unix.PROT_NONE)
	if err == nil {
		raw.Unmap(p, page)
	}
	if err == nil && !locked {
		return nil
	}
	b, e := unix.MmapPtr(-1, 0, nil, room, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if e != nil {
		return fmt.Errorf("%w: the process locks all of its new memory (mlockall with MCL_FUTURE), and there is no room in RLIMIT_MEMLOCK for %d bytes more, so the Go runtime would end it when it needs a thread or memory: raise the limit (LimitMEMLOCK= of systemd), or start the profiler before: mmap: %w", ErrLocked, room, e)
	}
	raw.Unmap(uintptr(b), room)
	if err != nil {
		return fmt.Errorf("%w, and new memory cannot be unlocked: %w", ErrLocked, err)
	}
	return nil
}

// anyLocks reports whether the process has locked memory: VmLck in /proc/self/status. Where it cannot be told it may
// have. text is a buffer of textLen.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) anyLocks(w *worker, text uintptr) bool {
	w.lock.addr = text
	deep(askLocks, uintptr(unsafe.Pointer(w)))
	return w.lock.locked
}

//go:nosplit
//go:norace
//go:nocheckptr
func askLocks(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	text := w.lock.addr
	w.lock.locked = true
	path := uintptr(unsafe.Pointer(&w.vec))
	*at[uint8](path + uintptr(copyText(path, statusPath))) = 0
	fd := raw.Syscall(unix.SYS_OPENAT, atFDCWD, path, unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	if raw.Errno(fd) != 0 {
		return
	}
	n := readText(uint32(fd), text)
	raw.Syscall(unix.SYS_CLOSE, fd, 0, 0, 0, 0, 0)
	const name = "VmLck:"
	for p, end := text, text+n; p < end; p++ {
		if !startsText(p, name) {
			continue
		}
		for p += uintptr(len(name)); *at[uint8](p) == '\t' || *at[uint8](p) == ' '; p++ {
		}
		w.lock.locked = *at[uint8](p) != '0'
		break
	}
	if w.lock.locked {
		raw.Store32(&s.locking, 1)
	}
}

// AnyLocked reports whether the process has locked memory at all. Most have none, and need not list their mappings.
func (e *Engine) AnyLocked() bool {
	e.errandMu.Lock()
	defer e.errandMu.Unlock()
	e.s.errand.kind = errandLocks
	e.send()
	return e.s.errand.n != 0
}

const statusPath = "/proc/self/status"

// startsText reports whether the bytes at p begin with text.
//
//go:nosplit
//go:norace
//go:nocheckptr
func startsText(p uintptr, text string) bool {
	// By address: see query.
	t := uintptr(unsafe.Pointer(unsafe.StringData(text)))
	for i := uintptr(0); i < uintptr(len(text)); i++ {
		if *at[uint8](p + i) != *at[uint8](t + i) {
			return false
		}
	}
	return true
}

// findLocks lists in the command what is locked of its target.
//
//go:nosplit
//go:norace
//go:nocheckptr
func findLocks(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	t := at[target](c.target)
	var l mapLine
	for next := t.lo; next < t.hi && s.lineFrom(w, &l, next) && l.Lo < t.hi; next = l.Hi {
		lo, hi := max(l.Lo, t.lo), min(l.Hi, t.hi)
		if !raw.Locked(lo, s.pageSize) {
			continue
		}
		locks := uintptr(unsafe.Pointer(&c.locks)) // by address: see query
		if c.nlocks > 0 && at[AddrRange](locks+(c.nlocks-1)*addrRangeSize).Hi == lo {
			at[AddrRange](locks + (c.nlocks-1)*addrRangeSize).Hi = hi
			continue
		}
		if c.onFault == 0 || c.nlocks == maxLocks {
			c.status = statusLocked
			return
		}
		*at[AddrRange](locks + c.nlocks*addrRangeSize) = AddrRange{lo, hi}
		c.nlocks++
	}
}

const addrRangeSize = unsafe.Sizeof(AddrRange{})

// lockAgain locks what the command has put in the place of locked memory.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) lockAgain(c *command) {
	for i := uintptr(0); i < c.nlocks; i++ {
		r := at[AddrRange](uintptr(unsafe.Pointer(&c.locks)) + i*addrRangeSize)
		s.lockMemory(r.Lo, r.Hi-r.Lo)
	}
}

// lockMemory locks what is there of a range and what comes. It fills nothing.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) lockMemory(addr, length uintptr) {
	if e := raw.Errno(raw.Syscall(unix.SYS_MLOCK2, addr, length, unix.MLOCK_ONFAULT, 0, 0, 0)); e != 0 {
		raw.Add64(&s.errors, 1)
		raw.Store64(&s.lastErr, uint64(e))
		raw.Store64(&s.unlocked, uint64(e))
	}
}

// relock makes a piece of a file's mapping locked, or not, as the placeholder was that it replaces. It is a duplicate of
// the alias, which mlockall locks too.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) relock(w *worker, addr, length uintptr, locked bool) {
	if locked || raw.Load32(&s.locking) != 0 {
		w.lock.addr, w.lock.length, w.lock.locked = addr, length, locked
		deep(relockPiece, uintptr(unsafe.Pointer(w)))
	}
}

//go:nosplit
//go:norace
//go:nocheckptr
func relockPiece(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	raw.Store32(&s.locking, 1)
	switch p := &w.lock; {
	case p.locked == raw.Locked(p.addr, s.pageSize):
	case p.locked:
		s.lockMemory(p.addr, p.length)
	default:
		raw.Syscall(unix.SYS_MUNLOCK, p.addr, p.length, 0, 0, 0, 0)
	}
}

// LockLayers makes what a target's layers hold of a range locked, or not, as the target's own pages are.
func (e *Engine) LockLayers(g *Target, lo, hi uintptr, locked bool) {
	e.op.Lock() // no layer is taken away meanwhile
	defer e.op.Unlock()
	if g.lost.Load() {
		return
	}
	lo, hi = max(lo, g.Lo), min(hi, g.Hi)
	for _, layer := range []uintptr{uintptr(raw.Load64(&g.t.young)), uintptr(raw.Load64(&g.t.old))} {
		if layer == 0 || lo >= hi {
			continue
		}
		at := layer + lo - g.Lo
		switch {
		case raw.Locked(at, e.s.pageSize) == locked: // as a rule all of it is
		case locked:
			e.s.lockMemory(at, hi-lo)
		default:
			unix.Syscall(unix.SYS_MUNLOCK, at, hi-lo, 0)
		}
	}
}

// hold makes sure that what a target's mapping holds in memory stays locked there by way of the alias, while a
// placeholder covers it.
func (e *Engine) hold(g *Target) error {
	if !raw.Locked(g.t.alias, e.s.pageSize) {
		if _, _, n := unix.Syscall(unix.SYS_MLOCK2, g.t.alias, g.Hi-g.Lo, unix.MLOCK_ONFAULT); n != 0 {
			return fmt.Errorf("%w on fault, and a second mapping of it cannot be locked meanwhile: raise RLIMIT_MEMLOCK by %d bytes: mlock2: %w", ErrLocked, g.Hi-g.Lo, n)
		}
	}
	return copyPresent(g.Lo, g.t.alias, g.Hi-g.Lo)
}

// letGo is the reverse of hold: what is held is locked in the target's mapping again.
func (e *Engine) letGo(g *Target) {
	if g.t.alias == 0 || !raw.Locked(g.t.alias, e.s.pageSize) {
		return
	}
	if err := copyPresent(g.t.alias, g.Lo, g.Hi-g.Lo); err != nil {
		raw.Store64(&e.s.unlocked, uint64(unix.EIO))
	}
}

// copyPresent maps at to, another mapping of the same file, what is mapped at from.
func copyPresent(from, to, length uintptr) error {
	populate := func(lo, hi uintptr) bool {
		// What has gone since is nobody's loss.
		unix.Syscall(unix.SYS_MADVISE, to+lo-from, hi-lo, unix.MADV_POPULATE_READ)
		return true
	}
	err := eachPresent(from, length, populate)
	if errors.Is(err, uffd.ErrNotSupported) {
		return eachEntry(from, length, populate)
	}
	return err
}

// eachPresent calls yield with the runs of pages that are mapped in a range, until it returns false. The kernel goes by
// the page tables that there are (PAGEMAP_SCAN, Linux 6.7), so what was never used of a range costs nothing.
func eachPresent(start, length uintptr, yield func(lo, hi uintptr) bool) error {
	return eachPageOf(uffd.PageIsPresent, start, length, yield)
}

// eachPageOf is eachPresent for the pages of a category.
func eachPageOf(category uffd.Categories, start, length uintptr, yield func(lo, hi uintptr) bool) error {
	pagemap, err := uffd.OpenPagemap(0)
	if err != nil {
		return err
	}
	defer pagemap.Close()
	r := uffd.Range{Start: uffd.Addr(start), End: uffd.Addr(start + length)}
	q := uffd.ScanQuery{All: category, Return: category}
	return pagemap.Scan(r, q, make([]uffd.PageRegion, 256), func(found []uffd.PageRegion) bool {
		for _, f := range found {
			if !yield(uintptr(f.Start), uintptr(f.End)) {
				return false
			}
		}
		return true
	})
}

// eachEntry is eachPresent for older kernels, which tell of every page.
func eachEntry(start, length uintptr, yield func(lo, hi uintptr) bool) error {
	pagemap, err := uffd.OpenPagemap(0)
	if err != nil {
		return err
	}
	defer pagemap.Close()
	page := uintptr(unix.Getpagesize())
	entries := make([]uffd.PagemapEntry, min(length/page, 1<<16))
	for done := uintptr(0); done < length; {
		n := min(uintptr(len(entries)), (length-done)/page)
		if err := pagemap.Entries(uffd.Addr(start+done), entries[:n]); err != nil {
			return err
		}
		for i := uintptr(0); i < n; i++ {
			first := i
			for i < n && entries[i].Present() {
				i++
			}
			if i > first && !yield(start+done+first*page, start+done+i*page) {
				return nil
			}
		}
		done += n * page
	}
	return nil
}
