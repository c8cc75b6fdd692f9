package profiler

import (
	"hash/fnv"
	"math"
	"math/bits"
	"slices"
)

// A region is sampled by blocks: aligned runs of granules, of which those with the smallest hashes of their
// number are observed (SHARDS, in clusters: Waldspurger and others, "Efficient MRC Construction with
// SHARDS", FAST 2015). Not single granules, because each run that is armed while its neighbours are not
// is a mapping of its own, and those are limited (vm.max_map_count). The k smallest of n are a simple
// random sample of fixed size, so that n/k times what they show is an estimate without bias; and the
// sample at a lower share is a part of that at a higher one, so that what both show can be compared.

const (
	// mostBlocks bounds the blocks of a region: half of them armed, at random, are a quarter as many runs.
	mostBlocks = 2048
	// mostBlocksOfAll is for all regions together, as long as each has fewestBlocks.
	mostBlocksOfAll = 1 << 14
	fewestBlocks    = 256
	// leastSampled is how many blocks are observed at least, or all where there are fewer: below it nothing
	// can be said of the error.
	leastSampled = 16

	allBlocks = math.MaxUint64 // a limit that every hash is within
)

// chooser decides which blocks of one region are observed: those whose hash is at most a limit.
type chooser struct {
	seed  uint64
	shift uint // log2 of a block's size in bytes
}

// newChooser sizes the blocks of a region: as small as the number of them allows.
func newChooser(seed uint64, name string, size int64, granule, regions int) chooser {
	h := fnv.New64a()
	h.Write([]byte(name))
	most := int64(max(fewestBlocks, min(mostBlocks, mostBlocksOfAll/max(regions, 1))))
	c := chooser{seed: seed ^ h.Sum64(), shift: uint(bits.Len64(uint64(granule)) - 1)}
	for size>>c.shift > most {
		c.shift++
	}
	return c
}

// hash mixes the number of a block (the finalizer of MurmurHash3).
func (c chooser) hash(block uint64) uint64 {
	v := block*0x9e3779b97f4a7c15 + c.seed
	v ^= v >> 33
	v *= 0xff51afd7ed558ccd
	v ^= v >> 33
	v *= 0xc4ceb9fe1a85ec53
	return v ^ v>>33
}

// has reports whether the block that holds a region offset is in the sample.
func (c chooser) has(offset int64, limit uint64) bool {
	return limit == allBlocks || limit != 0 && c.hash(uint64(offset)>>c.shift) <= limit
}

// extent is a part of a region, from offset lo to hi.
type extent struct{ lo, hi int64 }

// hashes are those of the blocks that some extents have a part of, ascending.
func (c chooser) hashes(extents []extent) []uint64 {
	var blocks []uint64
	for _, e := range extents {
		for b := uint64(e.lo) >> c.shift; e.lo < e.hi && b <= uint64(e.hi-1)>>c.shift; b++ {
			blocks = append(blocks, b)
		}
	}
	slices.Sort(blocks)
	blocks = slices.Compact(blocks)
	for i, b := range blocks {
		blocks[i] = c.hash(b)
	}
	slices.Sort(blocks)
	return blocks
}

// limitOf is the limit at which about a share of the blocks are in the sample. 0 is none of them.
func limitOf(hashes []uint64, share float64) uint64 {
	n := len(hashes)
	k := max(int(math.Round(share*float64(n))), leastSampled)
	if n > 2*mostBlocks && share < 1 {
		k = min(k, mostBlocks) // the region has grown since it was divided
	}
	switch {
	case share <= 0:
		return 0
	case share >= 1 || k >= n:
		return allBlocks
	}
	return max(hashes[k-1], 1)
}

// within counts the hashes in the sample.
func within(hashes []uint64, limit uint64) int {
	if limit == 0 {
		return 0
	}
	n, _ := slices.BinarySearch(hashes, limit)
	for n < len(hashes) && hashes[n] == limit {
		n++
	}
	return n
}
