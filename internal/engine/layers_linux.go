//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// open makes a granule of memory accessible: pages that a layer holds come back, the others are
// new. ok is false when the kernel refuses for the moment (EAGAIN), usually because an event waits
// to be read.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) open(w *worker, t *target, g uintptr, flags uint64) (source uint8, ok bool) {
	w.carry.target, w.carry.src, w.carry.flags = uintptr(unsafe.Pointer(t)), g, flags
	deep(open, uintptr(unsafe.Pointer(w)))
	return w.carry.source, w.carry.ok
}

//go:nosplit
//go:norace
//go:nocheckptr
func open(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t, g, flags := at[target](w.carry.target), w.carry.src, w.carry.flags
	addr, length := t.span(g, 1)
	for i := 0; i < 2; i++ {
		layer := uintptr(raw.Load64(&t.young))
		if i == 1 {
			layer = uintptr(raw.Load64(&t.old))
		}
		if layer == 0 {
			continue
		}
		moved, ok := s.bring(w, t, layer+addr-t.lo, addr, length)
		if !ok || moved && length == s.pageSize {
			w.carry.source, w.carry.ok = SourceMemory, ok
			return
		}
	}
	w.carry.source, w.carry.ok = s.fill(w, t, g, flags)
}

// bring moves what a layer holds at src to dst. moved tells, for a single page, whether it was there.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) bring(w *worker, t *target, src, dst, length uintptr) (moved, ok bool) {
	w.carry.target, w.carry.src, w.carry.dst, w.carry.length = uintptr(unsafe.Pointer(t)), src, dst, length
	deep(bring, uintptr(unsafe.Pointer(w)))
	return w.carry.moved, w.carry.ok
}

//go:nosplit
//go:norace
//go:nocheckptr
func bring(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	p := &w.carry
	t, src, dst, length := at[target](p.target), p.src, p.dst, p.length
	p.moved, p.ok = false, false
	moved := false
	for tries := 0; length > 0; {
		switch e := unix.Errno(s.move(w, t.uffd, src, dst)); e {
		case 0:
			moved = true
		case unix.EAGAIN:
			if tries++; tries > 3 {
				return
			}
			continue
		case unix.ENOENT: // a hole
		case unix.EEXIST: // the target has it already
		default:
			if w.bus.ours {
				return // for a disk thread, which has a page to do it with
			}
			// EINVAL: the mappings differ. EBUSY: the page is shared or pinned.
			p.src, p.dst = src, dst
			deep(force, arg)
			if !p.ok {
				return
			}
			moved = moved || p.moved
		}
		src, dst, length = src+s.pageSize, dst+s.pageSize, length-s.pageSize
	}
	p.moved, p.ok = moved, true
}

// move is UFFDIO_MOVE of one page. Not of more: with several pages, some of them holes, Linux 6.18 was seen
// to go round in the call for ever (move_pages_ptes, mm/userfaultfd.c), where only the end of the
// process stops it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) move(w *worker, fd uint32, src, dst uintptr) (errno uintptr) {
	w.args[0], w.args[1], w.args[2], w.args[3], w.args[4] = uint64(dst), uint64(src), uint64(s.pageSize), uint64(uffd.MoveModeDontwake), 0
	return raw.Errno(raw.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(uffd.IoctlMove), uintptr(unsafe.Pointer(&w.args)), 0, 0, 0))
}

// force brings one page home that UFFDIO_MOVE refuses. A page that a child of an earlier fork shares
// is unshared, as a write would do. Where the owner has changed the protection of its mapping, or
// locked it, the page is copied by way of a page of ours. One that is pinned (for a device, or a
// ring of io_uring) has to stay the page that it is: a piece of the layer's mapping replaces that of
// the target, which is not observed any more. moved is false when the layer does not have it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func force(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t := at[target](w.carry.target)
	s.lock(w, &t.moving) // the surgeon may be moving the same page from layer to layer
	w.carry.moved, w.carry.ok = s.forceLocked(w, t, w.carry.src, w.carry.dst)
	unlock(&t.moving)
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) forceLocked(w *worker, t *target, src, dst uintptr) (moved, ok bool) {
	is, known := s.present(w, src)
	switch {
	case !known && raw.Load64(&t.young) != 0 && raw.Load64(&t.old) != 0:
		s.refuse(t, s.barredBy(callPagemap)) // only one of the layers has it, and nobody can tell which
		return false, false
	case !known:
		s.unregister(w, s.layersFD, src, s.pageSize) // so that a hole reads as zeros, and nobody waits there
	case !is:
		return false, true
	}
	raw.Syscall(unix.SYS_MADVISE, src, s.pageSize, unix.MADV_POPULATE_WRITE, 0, 0, 0)
	e := s.move(w, t.uffd, src, dst)
	if unix.Errno(e) == unix.EBUSY {
		s.split(src)
		e = s.move(w, t.uffd, src, dst)
	}
	if unix.Errno(e) == unix.EINVAL {
		s.lockScratch(w, src)
		if e = s.move(w, s.layersFD, src, w.scratch); e == 0 {
			return true, s.copyHome(w, t, src, dst)
		}
	}
	switch unix.Errno(e) {
	case 0:
		return true, true
	case unix.EEXIST:
		return true, true
	case unix.EAGAIN:
		return false, false
	}
	deep(remapHome, uintptr(unsafe.Pointer(w))) // of carry.src, which is src
	return w.carry.moved, w.carry.ok
}

// lockScratch makes the worker's scratch page locked or not, as another one is: between memory that is and memory
// that is not, no page moves (validate_move_areas, mm/userfaultfd.c).
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) lockScratch(w *worker, like uintptr) {
	if raw.Locked(like, s.pageSize) {
		raw.Syscall(unix.SYS_MLOCK2, w.scratch, s.pageSize, unix.MLOCK_ONFAULT, 0, 0, 0)
	} else {
		raw.Syscall(unix.SYS_MUNLOCK, w.scratch, s.pageSize, 0, 0, 0, 0)
	}
}

// split makes a page of its own of a piece of a huge one. Of those the kernel asks the first page alone whether it is
// shared, so that UFFDIO_MOVE refuses all others while a child shares that one, and after it has ended. Advice for a piece
// splits it (madvise_cold_or_pageout_pte_range, mm/madvise.c), unless it is pinned or locked.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) split(addr uintptr) {
	raw.Syscall(unix.SYS_MADVISE, addr, s.pageSize, unix.MADV_COLD, 0, 0, 0)
}

// copyHome gives the target a copy of what is in the scratch page, and empties that.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) copyHome(w *worker, t *target, src, dst uintptr) (ok bool) {
	w.args[0], w.args[1], w.args[2], w.args[3], w.args[4] = uint64(dst), uint64(w.scratch), uint64(s.pageSize), uint64(uffd.CopyModeDontwake), 0
	e := unix.Errno(raw.Errno(raw.Syscall(unix.SYS_IOCTL, uintptr(t.uffd), uintptr(uffd.IoctlCopy), uintptr(unsafe.Pointer(&w.args)), 0, 0, 0)))
	switch e {
	case 0, unix.EEXIST, unix.ENOENT, unix.ESRCH:
		s.emptyScratch(w)
		return true
	}
	// It cannot be had now: the only copy goes back to its layer.
	for s.move(w, s.layersFD, w.scratch, src) != 0 {
		if s.mute() && raw.Errno(raw.Syscall(unix.SYS_MREMAP, w.scratch, s.pageSize, s.pageSize, remapOver|unix.MREMAP_DONTUNMAP, src, 0)) == 0 {
			break
		}
		s.nap(w, 50e3)
	}
	return false
}

// emptyScratch takes the page out of the worker's scratch page, where the next one has to find room.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) emptyScratch(w *worker) {
	if raw.Errno(raw.Syscall(unix.SYS_MADVISE, w.scratch, s.pageSize, unix.MADV_DONTNEED_LOCKED, 0, 0, 0)) == 0 {
		return
	}
	const anew = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_FIXED
	raw.Syscall(unix.SYS_MMAP, w.scratch, s.pageSize, unix.PROT_NONE, anew, ^uintptr(0), 0)
	s.registerLayer(w, w.scratch, s.pageSize)
	raw.Syscall(unix.SYS_MPROTECT, w.scratch, s.pageSize, unix.PROT_READ|unix.PROT_WRITE, 0, 0, 0)
}

//go:nosplit
//go:norace
//go:nocheckptr
func remapHome(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t, src, dst := at[target](w.carry.target), w.carry.src, w.carry.dst
	w.carry.moved, w.carry.ok = false, false
	switch s.registered(w, t.uffd, dst, s.pageSize) {
	case answerNobody:
		if s.probeWake(w); !s.mute() {
			return // else a message proves it
		}
	case answerLater:
		return
	case answerNo:
		w.carry.ok = true // the memory is gone
		return
	}
	if _, _, prot, known := s.query(w, dst); known {
		raw.Syscall(unix.SYS_MPROTECT, src, s.pageSize, uintptr(prot), 0, 0, 0)
	}
	if e := s.remapPage(w, src, dst); e != 0 {
		if denied(e) {
			s.bar(callRemap, e)
			if s.copyAcross(w, t, src, dst) {
				w.carry.moved, w.carry.ok = true, true
				return
			}
		}
		s.refuse(t, e)
		return
	}
	if t.flags&tgDontfork == 0 { // the layer's mapping is kept from children
		raw.Syscall(unix.SYS_MADVISE, dst, s.pageSize, unix.MADV_DOFORK, 0, 0, 0)
	}
	raw.Add64(&s.maps, 2)
	raw.Add64(&at[counters](t.counters).left, 1)
	w.carry.moved, w.carry.ok = true, true
}

// remapPage has the mapping of a page take the place of another one's, and be locked as that was. The kernel would count
// as locked for ever what is so when it is moved with MREMAP_DONTUNMAP (seen with Linux 6.18).
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) remapPage(w *worker, src, dst uintptr) (errno uintptr) {
	locked := false
	if raw.Load32(&s.locking) != 0 {
		locked = raw.Locked(dst, s.pageSize)
		raw.Syscall(unix.SYS_MUNLOCK, src, s.pageSize, 0, 0, 0, 0)
	}
	e := raw.Errno(raw.Syscall(unix.SYS_MREMAP, src, s.pageSize, s.pageSize, remapOver|unix.MREMAP_DONTUNMAP, dst, 0))
	if e == 0 {
		s.relock(w, dst, s.pageSize, locked)
	}
	return e
}

// copyAcross gives the target a copy of a page that may be moved in no way. The layer keeps it, and is not armed again:
// that takes mremap.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) copyAcross(w *worker, t *target, src, dst uintptr) (ok bool) {
	w.args[0], w.args[1], w.args[2], w.args[3], w.args[4] = uint64(dst), uint64(src), uint64(s.pageSize), uint64(uffd.CopyModeDontwake), 0
	switch unix.Errno(raw.Errno(raw.Syscall(unix.SYS_IOCTL, uintptr(t.uffd), uintptr(uffd.IoctlCopy), uintptr(unsafe.Pointer(&w.args)), 0, 0, 0))) {
	case 0, unix.EEXIST, unix.ENOENT, unix.ESRCH:
		return true
	}
	return false
}

// present reports whether a page is in memory or swapped out: its entry in /proc/self/pagemap
// (Documentation/admin-guide/mm/pagemap.rst). It is not known where that cannot be read.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) present(w *worker, addr uintptr) (is, known bool) {
	const bits = 1<<63 | 1<<62
	w.args[0] = 0
	n := raw.Syscall(unix.SYS_PREAD64, uintptr(s.pagemapFD), uintptr(unsafe.Pointer(&w.args)), 8, addr/s.pageSize*8, 0, 0)
	if e := raw.Errno(n); e != 0 {
		s.bar(callPagemap, e)
	}
	return w.args[0]&bits != 0, n == 8
}

// lock takes a lock of the engine's threads. It is held for microseconds.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) lock(w *worker, p *uint32) {
	for !raw.Cas32(p, 0, 1) {
		s.nap(w, 10e3)
	}
}

//go:nosplit
//go:norace
//go:nocheckptr
func unlock(p *uint32) { raw.Release32(p, 0) }
