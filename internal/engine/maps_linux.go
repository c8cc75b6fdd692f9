//go:build linux && (amd64 || arm64)

package engine

import (
	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// textLen bounds /proc/self/maps as the engine reads it: about 150,000 mappings.
const textLen = 16 << 20

// readMaps reads /proc/self/maps into the surgeon's buffer and returns its length, or 0.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) readMaps(w *worker) uintptr {
	if e := raw.Errno(raw.Syscall(unix.SYS_LSEEK, uintptr(s.mapsFD), 0, 0, 0, 0, 0)); e != 0 {
		s.unsought = e
		return 0
	}
	s.unsought = 0
	return readText(s.mapsFD, s.text)
}

// unread ends a command for which readMaps could not read.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) unread() {
	if s.unsought != 0 {
		s.cmd.fail(callSeek, s.unsought)
		return
	}
	s.cmd.fail(callMaps, uintptr(unix.EIO))
}

// readText reads the rest of a file and returns its length, or 0 when it cannot be read or is longer
// than textLen.
//
//go:nosplit
//go:norace
//go:nocheckptr
func readText(fd uint32, to uintptr) uintptr {
	for n := uintptr(0); ; {
		got := raw.Syscall(unix.SYS_READ, uintptr(fd), to+n, textLen-n, 0, 0, 0)
		if raw.Errno(got) != 0 || n+got >= textLen {
			return 0
		}
		if got == 0 {
			return n
		}
		n += got
	}
}

// mapLine is one line of /proc/self/maps (proc_pid_maps(5)).
type mapLine struct {
	lo, hi uintptr
	offset uint64
	dev    uint64 // major<<32 | minor
	inode  uint64
	prot   uint32 // PROT_READ, PROT_WRITE, PROT_EXEC
	shared bool
}

// parse reads the line at p and returns the start of the next one.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (l *mapLine) parse(p uintptr) uintptr {
	var v uint64
	v, p = hexAt(p)
	l.lo = uintptr(v)
	v, p = hexAt(p)
	l.hi = uintptr(v)
	l.prot = 0
	if *at[uint8](p) == 'r' {
		l.prot |= unix.PROT_READ
	}
	if *at[uint8](p + 1) == 'w' {
		l.prot |= unix.PROT_WRITE
	}
	if *at[uint8](p + 2) == 'x' {
		l.prot |= unix.PROT_EXEC
	}
	l.shared = *at[uint8](p + 3) == 's'
	l.offset, p = hexAt(p + 5)
	v, p = hexAt(p)
	l.dev = v << 32
	v, p = hexAt(p)
	l.dev |= v
	l.inode = 0
	for c := *at[uint8](p); c >= '0' && c <= '9'; c = *at[uint8](p) {
		l.inode = l.inode*10 + uint64(c-'0')
		p++
	}
	for *at[uint8](p) != '\n' {
		p++
	}
	return p + 1
}

// hexAt reads a hexadecimal number and steps over the character behind it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func hexAt(p uintptr) (v uint64, next uintptr) {
	for {
		c := uint64(*at[uint8](p))
		p++
		switch {
		case c >= '0' && c <= '9':
			v = v<<4 | (c - '0')
		case c >= 'a' && c <= 'f':
			v = v<<4 | (c - 'a' + 10)
		default:
			return v, p
		}
	}
}

// isFile reports whether a mapping is the command's file, shared, at the place that belongs to
// this part of the target; of a target of private memory, whether it is such memory.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (l *mapLine) isFile(c *command, t *target) bool {
	return l.shared == (t.flags&tgAnonymous == 0) && l.inode == c.inode && l.dev == c.dev && l.inPlace(t)
}
