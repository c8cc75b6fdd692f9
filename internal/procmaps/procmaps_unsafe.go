// Package procmaps parses /proc/PID/maps, and the first line of each mapping in /proc/PID/smaps (proc_pid_maps(5)).
//
// The parser is one for all who read these files, the threads of internal/engine among them, which have no g. So it is
// nosplit, allocates nothing, and reads no byte behind the end that it is given.
package procmaps

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"
	"unsafe"
)

// Rights, as Linux numbers PROT_READ, PROT_WRITE and PROT_EXEC.
const (
	Read = 1 << iota
	Write
	Exec
)

// Line is what a line says, but for the name of the file.
type Line struct {
	Lo, Hi uintptr
	Offset uint64 // bytes into the file
	Dev    uint64 // major<<32 | minor
	Inode  uint64
	Prot   uint32 // Read, Write, Exec
	Shared bool
}

var errLine = errors.New("not a line of /proc/PID/maps")

// Parse parses a line, with or without its newline, such as
//
//	7f0-7f8 r--s 00001000 fe:01 1234    /data/app.db (deleted)
//
// name is a part of the line: the path as the kernel writes it (see Path), a word such as [heap], or empty.
func Parse(line []byte) (l Line, name []byte, err error) {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	start := unsafe.Pointer(unsafe.SliceData(line))
	at, _ := l.ParseAt(uintptr(start), uintptr(start)+uintptr(len(line)))
	if at == 0 {
		return Line{}, nil, fmt.Errorf("mapping %q: %w", line, errLine)
	}
	return l, line[at-uintptr(start):], nil
}

// Lines are the lines of a whole file, with their names; those that are no mappings are left out.
func Lines(text []byte) iter.Seq2[Line, []byte] {
	return func(yield func(Line, []byte) bool) {
		for line := range bytes.Lines(text) {
			if l, name, err := Parse(line); err == nil && !yield(l, name) {
				return
			}
		}
	}
}

// Path undoes the one escape of the kernel's list, of the newline (seq_path with "\n").
func Path(name []byte) string { return strings.ReplaceAll(string(name), `\012`, "\n") }

// ParseAt parses the line at an address, and returns where its name is and where the next line begins. The text ends in front of
// end. Of what is no line it returns no name, and leaves an empty range.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (l *Line) ParseAt(p, end uintptr) (name, next uintptr) {
	// Few variables and no more calls than these: without optimization each one takes of the little stack that nosplit code has.
	var v uint64
	v, p = hex(p, end, '-')
	l.Lo = uintptr(v)
	v, p = hex(p, end, ' ')
	l.Hi = uintptr(v)
	l.Prot, l.Shared = 0, false
	if p != 0 && end-p > 4 && at(p)[4] == ' ' {
		if at(p)[0] == 'r' {
			l.Prot |= Read
		}
		if at(p)[1] == 'w' {
			l.Prot |= Write
		}
		if at(p)[2] == 'x' {
			l.Prot |= Exec
		}
		l.Shared = at(p)[3] == 's'
		p += 5
	} else {
		p = 0
	}
	l.Offset, p = hex(p, end, ' ')
	v, p = hex(p, end, ':')
	l.Dev = v << 32
	v, p = hex(p, end, ' ')
	l.Dev |= v & (1<<32 - 1)
	l.Inode, p = decimal(p, end)
	if p == 0 {
		l.Lo, l.Hi = 0, 0
		return 0, end
	}
	for p < end && at(p)[0] == ' ' {
		p++
	}
	for next = p; next < end && at(next)[0] != '\n'; {
		next++
	}
	if next < end {
		next++
	}
	return p, next
}

// hex reads a hexadecimal number and steps over the character that has to be behind it. 0 is no place.
//
//go:nosplit
//go:norace
//go:nocheckptr
func hex(p, end uintptr, behind uint8) (v uint64, next uintptr) {
	if p == 0 {
		return 0, 0
	}
	for start := p; p < end; p++ {
		c := *(*uint8)(unsafe.Pointer(p))
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c == behind && p > start:
			return v, p + 1
		default:
			return 0, 0
		}
		if v>>60 != 0 {
			return 0, 0
		}
		v = v<<4 | uint64(c)
	}
	return 0, 0
}

const most = 1<<64 - 1

// decimal reads a number that a blank, the line or the text ends.
//
//go:nosplit
//go:norace
//go:nocheckptr
func decimal(p, end uintptr) (v uint64, next uintptr) {
	if p == 0 {
		return 0, 0
	}
	for start := p; ; p++ {
		c := uint8('\n') // the end of the text is that of the line
		if p < end {
			c = *(*uint8)(unsafe.Pointer(p))
		}
		if c < '0' || c > '9' {
			if p == start || c != ' ' && c != '\n' {
				return 0, 0
			}
			return v, p
		}
		c -= '0'
		if v > most/10 || v*10 > most-uint64(c) {
			return 0, 0
		}
		v = v*10 + uint64(c)
	}
}

//go:nosplit
//go:norace
//go:nocheckptr
func at(p uintptr) *[5]uint8 { return (*[5]uint8)(unsafe.Pointer(p)) }
