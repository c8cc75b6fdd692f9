//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

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
	err = p.eng.Maps(func(text []byte) error {
		list, err = parseMaps(text)
		return err
	})
	return list, err
}

// parseMaps parses /proc/self/maps.
func parseMaps(text []byte) ([]procMap, error) {
	list := make([]procMap, 0, bytes.Count(text, []byte{'\n'}))
	for line := range bytes.Lines(text) {
		m, err := parseMap(string(bytes.TrimSuffix(line, []byte{'\n'})))
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// parseMap parses a line such as
// "7f0-7f8 r--s 00001000 fe:01 1234    /data/app.db (deleted)".
func parseMap(line string) (m procMap, err error) {
	f := strings.SplitN(line, " ", 6)
	if len(f) < 5 {
		return m, fmt.Errorf("mapping %q: %w", line, io.ErrUnexpectedEOF)
	}
	lo, hi, _ := strings.Cut(f[0], "-")
	major, minor, _ := strings.Cut(f[3], ":")
	var v [5]uint64
	for i, s := range []string{lo, hi, f[2], major, minor} {
		if v[i], err = strconv.ParseUint(s, 16, 64); err != nil {
			return m, fmt.Errorf("mapping %q: %w", line, err)
		}
	}
	if m.inode, err = strconv.ParseUint(f[4], 10, 64); err != nil {
		return m, fmt.Errorf("mapping %q: %w", line, err)
	}
	m.lo, m.hi, m.offset, m.dev = uintptr(v[0]), uintptr(v[1]), int64(v[2]), v[3]<<32|v[4]
	for i, c := range []struct {
		set  byte
		prot int
	}{{'r', unix.PROT_READ}, {'w', unix.PROT_WRITE}, {'x', unix.PROT_EXEC}} {
		if len(f[1]) == 4 && f[1][i] == c.set {
			m.prot |= c.prot
		}
	}
	m.shared = len(f[1]) == 4 && f[1][3] == 's'
	if len(f) == 6 {
		m.path = strings.TrimLeft(f[5], " ")
	}
	return m, nil
}
