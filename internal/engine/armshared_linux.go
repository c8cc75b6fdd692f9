//go:build linux && (amd64 || arm64)

package engine

import (
	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// Operations of the surgeon on what AddShared registered.
const (
	opDrop    = 16 + iota // drops the page tables of shared memory
	opProtect             // protects memory against writes
)

// armStep bounds how many bytes are armed between two looks at the clock.
const armStep = 4 << 20

// armShared arms the pieces of a frozen target that are still its own, from offset command.cover on, until
// mergeSlice is over. It leaves the offset at which to go on in command.cover, 0 at the end, and in
// command.holes whether there was nothing to arm.
//
//go:nosplit
//go:norace
//go:nocheckptr
func armShared(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	t := at[target](c.target)
	n := s.readMaps(w)
	if n == 0 {
		s.unread()
		return
	}
	from, limit := t.lo+c.cover, raw.Nanotime()+mergeSlice
	c.cover, c.holes = 0, 1
	var l mapLine
	for p := s.text; p < s.text+n && c.cover == 0; {
		_, p = l.ParseAt(p, s.text+n)
		lo, hi := max(l.Lo, from), min(l.Hi, t.hi)
		for lo < hi {
			next := min(hi, t.base+(t.granule(lo)+max(uintptr(armStep)>>t.shift, 1))<<t.shift)
			e := uintptr(unix.ENOENT)
			if c.op == opProtect {
				e = s.protect(w, t, lo, next-lo)
			} else if l.isFile(c, t) {
				e = raw.Errno(raw.Syscall(unix.SYS_MADVISE, lo, next-lo, unix.MADV_DONTNEED, 0, 0, 0))
			}
			switch unix.Errno(e) {
			case 0:
				c.holes = 0
				for g := t.granule(lo); g <= t.granule(next-1); g++ {
					raw.Store32(t.state(g), gArmed)
				}
			case unix.ENOENT: // somebody else's by now
			case unix.EAGAIN:
				c.status = statusBusy
				return
			default:
				call := uintptr(callDiscard)
				if c.op == opProtect {
					call = callWriteProtect
				}
				c.fail(call, e)
				if c.op == opDrop && unix.Errno(e) == unix.EINVAL && t.page == s.pageSize {
					c.status = statusLocked // madvise_dontneed_free_valid_vma, mm/madvise.c
				}
				return
			}
			lo = next
			// Not within a granule: one that is armed in two parts would be seen twice.
			if next < t.hi && (next-t.base)&(1<<t.shift-1) == 0 && raw.Nanotime() > limit {
				c.cover = next - t.lo
				break
			}
		}
	}
	c.armed = raw.Nanotime()
}

// protect makes the next write to each page of a piece fault, also to those that are not there yet.
// EAGAIN: an event waits to be read.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) protect(w *worker, t *target, lo, length uintptr) (errno uintptr) {
	for try := 0; ; try++ {
		w.args[0], w.args[1], w.args[2] = uint64(lo), uint64(length), uint64(uffd.WriteProtectModeWP)
		e := s.ioctl(w, t.uffd, uffd.IoctlWriteProtect)
		if unix.Errno(e) != unix.EAGAIN || try == 100 {
			return e
		}
		s.nap(w, 20e3)
	}
}

// leave ends the observation of a piece that its owner has moved away, and grown perhaps: the object
// has the contents, and the next look covers it anew.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) leave(w *worker, t *target, to, length uintptr) {
	if lo, hi, _, ok := s.query(w, to); ok && lo == to && s.find(hi-1) == nil {
		length = max(length, hi-to)
	}
	s.unregister(w, t.uffd, to, length)
}

// strayShared answers a fault in shared memory that no target covers: what its owner has grown. It
// serves the touched page, and ends the observation behind it where that can be told.
//
//go:nosplit
//go:norace
//go:nocheckptr
func strayShared(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	fd, addr := w.now.fd, w.now.addr&^(s.pageSize-1)
	if lo, hi, _, ok := s.query(w, addr); ok {
		if t := s.find(lo); t != nil && t.kind >= kindShared {
			from := w.now.addr &^ (t.page - 1)
			length := t.page
			if s.find(hi-1) == nil {
				length = hi - from
			}
			s.unregister(w, fd, from, length)
			return
		}
	}
	// Anonymous memory is refused by both.
	w.args[0], w.args[1], w.args[2], w.args[3] = uint64(addr), uint64(s.pageSize), uint64(uffd.ContinueModeDontwake), 0
	if e := s.ioctl(w, fd, uffd.IoctlContinue); unix.Errno(e) == unix.EFAULT {
		w.args[0], w.args[1], w.args[2], w.args[3] = uint64(addr), uint64(s.pageSize), uint64(uffd.ZeropageModeDontwake), 0
		s.ioctl(w, fd, uffd.IoctlZeropage)
	}
}
