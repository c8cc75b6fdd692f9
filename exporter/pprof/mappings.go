package pprof

import (
	"os"
	"sort"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

// regionMappings returns the address ranges of a region as mappings, so that a profile names the
// data files beside the program. Arenas have a name in brackets, as memory without a file has.
func regionMappings(r *profiler.RegionStats) []*profile.Mapping {
	file := r.Name
	switch r.Kind {
	case profiler.KindArena:
		file = "[arena " + r.Name + "]"
	case profiler.KindGoHeap:
		file = "[" + r.Name + "]"
	}
	var out []*profile.Mapping
	for _, m := range r.Mappings {
		out = append(out, named(&profile.Mapping{
			Start: uint64(m.Start), Limit: uint64(m.End), Offset: uint64(m.Offset), File: file,
		}))
	}
	return out
}

// named marks a mapping as one whose frames have names, so that no viewer opens the file to look for
// symbols in it.
func named(m *profile.Mapping) *profile.Mapping {
	m.HasFunctions, m.HasFilenames, m.HasLineNumbers, m.HasInlineFrames = true, true, true, true
	return m
}

const overlapMost = 64

// holding returns the mapping that holds an offset of its file, and the address of the offset
// there; or nil and 0 where it is not mapped any more. The mappings are in the order of their offsets. Of those that overlap
// the nearest ones are looked at.
func holding(maps []*profile.Mapping, offset int64) (*profile.Mapping, uint64) {
	o := uint64(offset)
	behind := sort.Search(len(maps), func(i int) bool { return maps[i].Offset > o })
	for i := behind - 1; i >= max(behind-overlapMost, 0); i-- {
		if m := maps[i]; o-m.Offset < m.Limit-m.Start {
			return m, m.Start + o - m.Offset
		}
	}
	return nil, 0
}

// program is the mapping of a program of which only the name is known.
func program() *profile.Mapping {
	path, err := os.Executable()
	if err != nil {
		path = os.Args[0]
	}
	return named(&profile.Mapping{File: path})
}
