//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"fmt"
	"io"
	"sort"
	"strconv"

	"golang.org/x/sys/unix"
)

// procMap is one line of /proc/self/maps (proc_pid_maps(5)).
type procMap struct {
	lo, hi uintptr
	prot   int
	shared bool
	offset int64
	dev    uint64 // major<<32 | minor
	inode  uint64
	path   string
}

// readMaps lists the mappings of this process.
func (p *Profiler) readMaps() (list []procMap, err error) {
	p.mapsReads.Add(1)
	if p.obs != nil {
		return readOwnMaps()
	}
	err = p.eng.Maps(func(text []byte) error {
		list, err = parseMaps(text)
		return err
	})
	return list, err
}

// between is the part of a list of mappings that has some of [lo, hi).
func between(list []procMap, lo, hi uintptr) []procMap {
	list = list[sort.Search(len(list), func(i int) bool { return list[i].hi > lo }):]
	return list[:sort.Search(len(list), func(i int) bool { return list[i].lo >= hi })]
}

// parseMaps parses /proc/self/maps. It is done ten times a second, so it allocates the list, and a
// path where it differs from the line before: pieces of one mapping share it.
//
// A mapping that grows while the file is read may be in it twice, as it was and as it is: the kernel goes on behind the
// last address with what is there by then, and shows the whole of that. The later line counts for what is new in it.
func parseMaps(text []byte) ([]procMap, error) {
	list := make([]procMap, 0, bytes.Count(text, []byte{'\n'}))
	path := ""
	for line := range bytes.Lines(text) {
		m, name, err := parseMap(bytes.TrimSuffix(line, []byte{'\n'}))
		if err != nil {
			return nil, err
		}
		if string(name) != path {
			path = string(name)
		}
		m.path = path
		if n := len(list); n > 0 && m.lo < list[n-1].hi {
			if m.hi <= list[n-1].hi {
				continue
			}
			if m.inode != 0 {
				m.offset += int64(list[n-1].hi - m.lo)
			}
			m.lo = list[n-1].hi
		}
		list = append(list, m)
	}
	return list, nil
}

// parseMap parses a line such as
// "7f0-7f8 r--s 00001000 fe:01 1234    /data/app.db (deleted)".
func parseMap(line []byte) (m procMap, path []byte, err error) {
	var f [5][]byte
	rest, more := line, true
	for i := range f {
		if !more {
			return m, nil, fmt.Errorf("mapping %q: %w", line, io.ErrUnexpectedEOF)
		}
		f[i], rest, more = bytes.Cut(rest, []byte{' '})
	}
	lo, hi, _ := bytes.Cut(f[0], []byte{'-'})
	major, minor, _ := bytes.Cut(f[3], []byte{':'})
	var v [5]uint64
	for i, s := range [...][]byte{lo, hi, f[2], major, minor} {
		if v[i], err = strconv.ParseUint(string(s), 16, 64); err != nil {
			return m, nil, fmt.Errorf("mapping %q: %w", line, err)
		}
	}
	if m.inode, err = strconv.ParseUint(string(f[4]), 10, 64); err != nil {
		return m, nil, fmt.Errorf("mapping %q: %w", line, err)
	}
	m.lo, m.hi, m.offset, m.dev = uintptr(v[0]), uintptr(v[1]), int64(v[2]), v[3]<<32|v[4]
	if p := f[1]; len(p) == 4 {
		for i, prot := range [...]int{unix.PROT_READ, unix.PROT_WRITE, unix.PROT_EXEC} {
			if p[i] == "rwx"[i] {
				m.prot |= prot
			}
		}
		m.shared = p[3] == 's'
	}
	return m, bytes.TrimLeft(rest, " "), nil
}
