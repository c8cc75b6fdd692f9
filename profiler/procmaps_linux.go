//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"sort"

	"github.com/firsttouch/firsttouch/internal/procmaps"
)

// procMap is a mapping as /proc/self/maps lists it.
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
		m, name, err := parseMap(line)
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

// parseMap parses one line.
func parseMap(line []byte) (m procMap, path []byte, err error) {
	l, path, err := procmaps.Parse(line)
	return procMap{lo: l.Lo, hi: l.Hi, prot: int(l.Prot), shared: l.Shared, offset: int64(l.Offset), dev: l.Dev, inode: l.Inode}, path, err
}
