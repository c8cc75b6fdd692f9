package uffd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// info is what /proc/self/fdinfo says of a userfaultfd (userfaultfd_show_fdinfo in fs/userfaultfd.c).
type info struct {
	unread, waiting int
	enabled         Features
	shaken          bool // the handshake was made
}

// handshakeDone is the bit that the kernel itself keeps among the features
// (UFFD_FEATURE_INITIALIZED).
const handshakeDone = 1 << 31

func readInfo(fd int) (info, error) {
	text, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return info{}, err
	}
	return parseInfo(string(text))
}

// parseInfo reads the lines "pending:", "total:" and "API:", whose second number is the features in
// hexadecimal.
func parseInfo(text string) (info, error) {
	var i info
	found := 0
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		var err error
		switch value = strings.TrimSpace(value); name {
		case "pending":
			i.unread, err = strconv.Atoi(value)
		case "total":
			i.waiting, err = strconv.Atoi(value)
		case "API":
			fields := strings.Split(value, ":")
			if len(fields) < 2 {
				return info{}, fmt.Errorf("fdinfo: %q: want three numbers", line)
			}
			var bits uint64
			bits, err = strconv.ParseUint(fields[1], 16, 64)
			i.shaken, i.enabled = bits&handshakeDone != 0, Features(bits&^handshakeDone)
		default:
			continue
		}
		if err != nil {
			return info{}, fmt.Errorf("fdinfo: %q: %w", line, err)
		}
		found++
	}
	if found != 3 {
		return info{}, fmt.Errorf("fdinfo: %d of the lines pending, total and API", found)
	}
	return i, nil
}

// Pending counts the threads that wait for this descriptor: those whose message nobody has read, and
// all. It asks /proc/self/fdinfo, and fails where that cannot be read.
//
// Needs Linux 4.3.
func (f *FD) Pending() (unread, waiting int, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return 0, 0, ErrClosed
	}
	i, err := readInfo(f.raw)
	return i.unread, i.waiting, err
}
