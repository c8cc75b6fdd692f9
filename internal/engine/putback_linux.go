//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// putBack makes [addr, addr+length), a piece of the placeholder, the file's mapping again: that of the target
// from address from on. prot is what the mapping has there, or protUnknown.
//
// One mremap duplicates a piece of the alias, which needs no descriptor and keeps the owner's advice. Where it is
// refused, by a seccomp filter or because the process has no mappings left, the file is opened by its path and
// mapped anew: where mmap replaces a whole mapping it asks for none to spare, as mremap does (mremap_to). The threads of the engine have
// tables of descriptors of their own, and record locks belong to a table (locks_remove_posix, fs/locks.c), so
// closing one here drops none of the application's. A file that has no path any more cannot be had so.
//
// What was locked is locked again, see relock.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) putBack(w *worker, t *target, from, length, addr uintptr, prot uint32) (errno uintptr) {
	locked := raw.Locked(addr, s.pageSize)
	e := raw.Errno(raw.Syscall(unix.SYS_MREMAP, t.alias+from-t.lo, 0, length, remapOver, addr, 0))
	if unix.Errno(e) == unix.EAGAIN {
		// The alias is locked too, and RLIMIT_MEMLOCK has no room for both (mlock_future_ok, mm/mmap.c).
		raw.Syscall(unix.SYS_MUNLOCK, t.alias, t.hi-t.lo, 0, 0, 0, 0)
		e = raw.Errno(raw.Syscall(unix.SYS_MREMAP, t.alias+from-t.lo, 0, length, remapOver, addr, 0))
	}
	if e == 0 {
		s.relock(w, addr, length, locked)
		return 0
	}
	if denied(e) {
		s.bar(callRemap, e)
	}
	if w.reads != 0 || w.watches != 0 {
		return e // a reader waits for no file system
	}
	if !denied(e) && raw.Load64(&s.reserve) == s.reserveEnd-uint64(s.reserveLen) {
		return e // there are mappings to give up first
	}
	w.carry.target, w.carry.src, w.carry.length, w.carry.dst = uintptr(unsafe.Pointer(t)), from, length, addr
	w.carry.flags = uint64(prot)
	if deep(refile, uintptr(unsafe.Pointer(w))); w.carry.ok {
		s.relock(w, addr, length, locked)
		return 0
	}
	return e
}

const protUnknown = ^uint32(0)

// backing is how the file of a region can be had again. It lies behind the region's counters.
type backing struct {
	dev, inode uint64 // as stat tells them
	path       [4032 - unsafe.Sizeof(counters{})]byte
}

//go:nosplit
//go:norace
//go:nocheckptr
func (t *target) backing() *backing {
	return at[backing](t.counters + unsafe.Sizeof(counters{}))
}

// giveUpReserve makes room for mappings when the process has none left: first for some, so that granules can be
// restored as ever; then, as often as that did not suffice, for one, with which restoreMapping gets on. It reports
// whether there was something to give.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) giveUpReserve() bool {
	p := raw.Load64(&s.reserve)
	if p >= s.reserveEnd {
		return false
	}
	n := uint64(s.pageSize)
	if p == s.reserveEnd-uint64(s.reserveLen) {
		n = uint64(s.reserveLen / 2)
	}
	if raw.Cas64(&s.reserve, p, p+n) {
		raw.Syscall(unix.SYS_MUNMAP, uintptr(p), uintptr(n), 0, 0, 0, 0)
	}
	return true
}

// refile maps a piece of a target's file anew over a piece of its placeholder.
//
//go:nosplit
//go:norace
//go:nocheckptr
func refile(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &w.carry
	t, prot := at[target](c.target), uint32(c.flags)
	c.ok = false
	b := t.backing()
	path := uintptr(unsafe.Pointer(&b.path))
	if *at[uint8](path) == 0 {
		return
	}
	if prot == protUnknown {
		prot = t.prot
		if _, _, now, ok := s.query(w, c.dst); ok {
			prot = now
		}
	}
	// For writing even where the mapping may only be read: its owner could have made it writable later.
	const flags = unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	fd := raw.Syscall(unix.SYS_OPENAT, atFDCWD, path, unix.O_RDWR|flags, 0, 0, 0)
	if raw.Errno(fd) != 0 && prot&unix.PROT_WRITE == 0 {
		fd = raw.Syscall(unix.SYS_OPENAT, atFDCWD, path, unix.O_RDONLY|flags, 0, 0, 0)
	}
	if raw.Errno(fd) != 0 {
		return
	}
	same, told := s.sameFile(w, fd, b)
	if !told {
		c.fd = fd
		deep(sameMapping, arg)
		same = c.ok
		c.ok = false
	}
	if same {
		e := raw.Errno(raw.Syscall(unix.SYS_MMAP, c.dst, c.length, uintptr(prot), unix.MAP_SHARED|unix.MAP_FIXED, fd, uintptr(t.offset)+c.src-t.lo))
		c.ok = e == 0
	}
	raw.Syscall(unix.SYS_CLOSE, fd, 0, 0, 0, 0, 0)
	if c.ok {
		raw.Add64(&s.refiled, 1)
	}
}

// restoreMapping puts back all of that mapping of the placeholder which holds the worker's granule: that is the one
// change for which no mapping has to be to spare. Others that wait for a granule of it find it done.
//
//go:nosplit
//go:norace
//go:nocheckptr
func restoreMapping(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t, g := at[target](w.now.target), w.now.g
	addr, length := t.span(g, 1)
	w.carry.ok = false
	if w.reads != 0 || w.watches != 0 {
		return // see putBack
	}
	if length == s.pageSize && s.asked(w, t, addr, length) == answerNo {
		w.carry.ok = true
		return
	}
	lo, hi, prot, ok := s.query(w, addr)
	if !ok {
		return
	}
	lo, hi = max(lo, t.lo), min(hi, t.hi)
	if !s.whole(w, t, lo, hi-lo) {
		return
	}
	w.carry.target, w.carry.src, w.carry.length, w.carry.dst, w.carry.flags = w.now.target, lo, hi-lo, lo, uint64(prot)
	locked := raw.Locked(lo, s.pageSize)
	if deep(refile, arg); !w.carry.ok {
		return
	}
	s.relock(w, lo, hi-lo, locked)
	n := uint64(0)
	for i := t.granule(lo); i <= t.granule(hi-1); i++ {
		a, l := t.span(i, 1)
		if a >= lo && a+l <= hi && i != g && raw.Cas32(t.state(i), gArmed, gOpen) {
			n++
		}
	}
	raw.Add64(&s.widened, n)
	raw.Add64(&at[counters](t.counters).widened, n)
	s.wake(w, t, t.granule(lo), t.granule(hi-1)-t.granule(lo)+1)
}

// sameFile reports whether a descriptor is of the file that the region is of: another one may have its path now.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) sameFile(w *worker, fd uintptr, b *backing) (same, told bool) {
	dev, inode, told := s.statOf(w, fd)
	return inode == b.inode && dev == b.dev, told
}

const (
	idText = 64 << 10 // of /proc/self/maps that is read at once
	idLen  = 2 * idText
)

// sameMapping is sameFile where stat may not be asked, of the descriptor carry.fd: a page of it is mapped, and
// the list of mappings tells whether that is of the file that the alias is of.
//
//go:nosplit
//go:norace
//go:nocheckptr
func sameMapping(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &w.carry
	c.ok = false
	s.lock(w, &s.identifying)
	page := s.identity + idText
	if raw.Errno(raw.Syscall(unix.SYS_MMAP, page, s.pageSize, unix.PROT_NONE, unix.MAP_SHARED|unix.MAP_FIXED, c.fd, 0)) == 0 {
		path := uintptr(unsafe.Pointer(&w.vec))
		*at[uint8](path + uintptr(copyText(path, mapsPath))) = 0
		fd := raw.Syscall(unix.SYS_OPENAT, atFDCWD, path, unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
		if raw.Errno(fd) == 0 {
			known := at[target](c.target).alias
			if known == 0 {
				known = c.dst // the mapping itself, whose access is taken away
			}
			c.ok = s.sameInList(w, fd, page, known)
			raw.Syscall(unix.SYS_CLOSE, fd, 0, 0, 0, 0, 0)
		}
		const anew = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_FIXED
		raw.Syscall(unix.SYS_MMAP, page, s.pageSize, unix.PROT_READ|unix.PROT_WRITE, anew, ^uintptr(0), 0)
	}
	unlock(&s.identifying)
}

// sameInList reports whether a list of mappings has the same file at two addresses.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) sameInList(w *worker, fd, a, b uintptr) bool {
	l := &w.idLines
	l[0].Inode, l[1].Inode = 0, 0
	for have := uintptr(0); ; {
		n := raw.Syscall(unix.SYS_READ, fd, s.identity+have, idText-have, 0, 0, 0)
		if raw.Errno(n) != 0 || n == 0 {
			break
		}
		have += n
		end := s.identity + have
		for end > s.identity && *at[uint8](end - 1) != '\n' {
			end--
		}
		for p := s.identity; p < end; {
			_, p = l[2].ParseAt(p, end)
			if l[2].Lo <= a && a < l[2].Hi {
				l[0] = l[2]
			}
			if l[2].Lo <= b && b < l[2].Hi {
				l[1] = l[2]
			}
		}
		have = s.identity + have - end
		for i := uintptr(0); i < have; i++ {
			*at[uint8](s.identity + i) = *at[uint8](end + i)
		}
	}
	return l[0].Inode != 0 && l[0].Inode == l[1].Inode && l[0].Dev == l[1].Dev
}

// statOf is what stat tells of an open file. dev is major<<32 | minor.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) statOf(w *worker, fd uintptr) (dev, inode uint64, told bool) {
	// struct stat begins with the device and the number of the inode.
	p := uintptr(unsafe.Pointer(&w.vec))
	if raw.Errno(raw.Syscall(unix.SYS_FSTAT, fd, p, 0, 0, 0, 0)) != 0 {
		// A filter may have the one and not the other: Go's os.Stat and File.Stat each use one of them.
		*at[uint8](p) = 0 // the path, before the answer comes there
		if raw.Errno(raw.Syscall(unix.SYS_NEWFSTATAT, fd, p, p+8, unix.AT_EMPTY_PATH, 0, 0)) != 0 {
			return 0, 0, false
		}
		p += 8
	}
	dev = *at[uint64](p)
	major := dev>>8&0xfff | dev>>32&^0xfff // unix.Major and unix.Minor, which are not nosplit
	minor := dev&0xff | dev>>12&^0xff&0xffffffff
	return major<<32 | minor, *at[uint64](p + 8), true
}

// KnowFile says by which path the region's file can be opened, and what stat tells of it: Dev is
// major<<32 | minor.
func (r *Region) KnowFile(path string, dev, inode uint64) {
	b := at[backing](uintptr(unsafe.Pointer(r.c)) + unsafe.Sizeof(counters{}))
	if len(path) >= len(b.path) || len(path) == 0 || path[0] != '/' {
		return // it could not be opened so
	}
	b.dev, b.inode = dev, inode
	copy(b.path[:], path) // what is behind it is 0
}
