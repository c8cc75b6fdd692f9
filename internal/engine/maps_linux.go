//go:build linux && (amd64 || arm64)

package engine

import (
	"github.com/firsttouch/firsttouch/internal/procmaps"
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

// mapLine is one line of /proc/self/maps.
type mapLine struct{ procmaps.Line }

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
	return l.Shared == (t.flags&tgAnonymous == 0) && l.Inode == c.inode && l.Dev == c.dev && l.inPlace(t)
}
