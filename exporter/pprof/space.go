package pprof

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/google/pprof/profile"
)

const (
	kib = int64(1) << 10
	mib = int64(1) << 20
)

// levels are the sizes of the frames between a region and its granules, the root's side first.
var levels = []int64{mib, 64 * kib}

// resolution returns the size at which stacks end, so that no more than limit places are named; 1
// means at the granule. Beyond MiB, sizes grow until that is so: a sample takes a kilobyte, and nothing else bounds how
// much of the address space was touched.
func resolution(s *profiler.Snapshot, limit int) int64 {
	for _, unit := range []int64{1, 64 * kib, mib} {
		if places(s, unit, limit) <= limit {
			return unit
		}
	}
	// Of each region there is one place at least, however large it is.
	limit = max(limit, coarsePlaces, 2*len(s.Regions))
	unit := mib
	for unit < 1<<62 && places(s, unit, limit) > limit {
		unit *= 2
	}
	return unit
}

// coarsePlaces is how many places of a MiB are named at least.
const coarsePlaces = 1 << 10

// places counts places of a size that were touched, until they are more than limit.
func places(s *profiler.Snapshot, unit int64, limit int) (n int) {
	for i := range s.Regions {
		r, next := &s.Regions[i], int64(0)
		size := max(unit, int64(r.Granule))
		for g := range r.Runs {
			first, last := int64(g.First)*int64(r.Granule)/size, (int64(g.First+g.Count)*int64(r.Granule)-1)/size
			if first = max(first, next); first <= last {
				n, next = n+int(min(last-first+1, int64(limit)+1)), last+1
			}
			if n > limit {
				return n
			}
		}
	}
	return n
}

// place is the offset at which the place of an offset begins: a unit, or a granule that is larger.
func place(r *profiler.RegionStats, offset, unit int64) int64 {
	return offset - offset%max(unit, int64(r.Granule))
}

// space makes the frames of one region.
type space struct {
	*builder
	r     *profiler.RegionStats
	name  string
	maps  []*profile.Mapping
	width int // hexadecimal digits of an offset

	parents map[int64][]*profile.Location // by offset of the smallest frame above a leaf
}

func (b *builder) newSpace(r *profiler.RegionStats, name string) *space {
	maps := slices.Clone(b.memory[r.ID])
	slices.SortStableFunc(maps, func(a, b *profile.Mapping) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(b.Start, a.Start))
	})
	sp := &space{builder: b, r: r, name: name, maps: maps, width: 8, parents: make(map[int64][]*profile.Location)}
	for sp.width < 16 && r.Size>>(4*sp.width) != 0 {
		sp.width++
	}
	return sp
}

// stack returns the frames of a place, leaf first.
func (sp *space) stack(offset, unit int64) []*profile.Location {
	leaf := max(unit, int64(sp.r.Granule))
	return append([]*profile.Location{sp.frame(offset, leaf)}, sp.above(offset, leaf)...)
}

// above returns the frames that hold a place of some size. Neighbours share them.
func (sp *space) above(offset, size int64) []*profile.Location {
	var sizes []int64
	for _, l := range levels {
		if l > size {
			sizes = append(sizes, l)
		}
	}
	slices.Reverse(sizes)
	if len(sizes) == 0 {
		return []*profile.Location{sp.region()}
	}
	key := offset - offset%sizes[0]
	if have := sp.parents[key]; have != nil {
		return have
	}
	var out []*profile.Location
	for _, l := range sizes {
		out = append(out, sp.frame(offset-offset%l, l))
	}
	out = append(out, sp.region())
	sp.parents[key] = out
	return out
}

// frame stands for a part of the region. Equal parts of several regions differ in name, because
// viewers add up what has the same name.
func (sp *space) frame(offset, size int64) *profile.Location {
	name := fmt.Sprintf("%s 0x%0*x +%s", sp.name, sp.width, offset, sizeName(size))
	m, address := holding(sp.maps, offset)
	return sp.location(m, address, profile.Line{Function: sp.function(name, sp.r.Name)})
}

func (sp *space) region() *profile.Location {
	return sp.location(nil, 0, profile.Line{Function: sp.function(sp.name, sp.r.Name)})
}

// sizeName writes a power of two in its largest binary unit.
func sizeName(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%dGiB", n>>30)
	case n >= mib:
		return fmt.Sprintf("%dMiB", n>>20)
	}
	return fmt.Sprintf("%dKiB", n>>10)
}

// displayNames shortens the paths of files to their last element where that is unique.
func displayNames(regions []profiler.RegionStats) []string {
	short := make([]string, len(regions))
	uses := make(map[string]int)
	for i, r := range regions {
		short[i] = r.Name
		if r.Kind != profiler.KindArena {
			short[i] = filepath.Base(r.Name)
		}
		uses[short[i]]++
	}
	for i, r := range regions {
		if uses[short[i]] > 1 {
			short[i] = r.Name
		}
	}
	return short
}
