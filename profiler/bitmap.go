package profiler

import (
	"math/bits"
	"slices"
	"sort"
)

// A bitmap is a tree of three levels, so that it is as large as what is in it: one granule at the end of a mapping of a TiB
// takes 5 KiB.
const (
	leafBits = 12 // of a granule's number: 512 bytes, for 16 MiB in pages of 4 KiB
	nodeBits = 8  // 2 KiB, for 4 GiB
)

// bitmap is a set of granule numbers. It grows as needed. One that was restored is its runs instead, and does not
// grow: so it is as large as what was stored, whatever numbers that names.
type bitmap struct {
	root  []*bitmapNode // by the bits above a node's
	owner *bitmapOwner  // whose nodes and leaves add changes in place; those of others it copies
	runs  []Granules
	n     uint64 // members
}

type bitmapNode struct {
	owner  *bitmapOwner
	leaves [1 << nodeBits]*bitmapLeaf
}

type bitmapLeaf struct {
	owner *bitmapOwner
	words [1 << (leafBits - 6)]uint64
}

// bitmapOwner has a size so that each has an address of its own.
type bitmapOwner struct{ _ byte }

// add reports whether i was not yet a member.
func (b *bitmap) add(i uint64) bool {
	if b.has(i) {
		return false
	}
	if b.owner == nil {
		b.owner = new(bitmapOwner)
	}
	at := int(i >> (leafBits + nodeBits))
	if at >= len(b.root) {
		root := make([]*bitmapNode, at+1) // seldom: for each 4 GiB
		copy(root, b.root)
		b.root = root
	}
	node := b.root[at]
	if node == nil || node.owner != b.owner {
		own := &bitmapNode{owner: b.owner}
		if node != nil {
			own.leaves = node.leaves
		}
		b.root[at], node = own, own
	}
	leaf := &node.leaves[i>>leafBits%(1<<nodeBits)]
	if *leaf == nil || (*leaf).owner != b.owner {
		own := &bitmapLeaf{owner: b.owner}
		if *leaf != nil {
			own.words = (*leaf).words
		}
		*leaf = own
	}
	(*leaf).words[i>>6%(1<<(leafBits-6))] |= 1 << (i % 64)
	b.n++
	return true
}

func (b *bitmap) has(i uint64) bool {
	if b.runs != nil {
		at := sort.Search(len(b.runs), func(k int) bool { return b.runs[k].First > i })
		return at > 0 && i-b.runs[at-1].First < b.runs[at-1].Count
	}
	at := i >> (leafBits + nodeBits)
	if at >= uint64(len(b.root)) || b.root[at] == nil {
		return false
	}
	leaf := b.root[at].leaves[i>>leafBits%(1<<nodeBits)]
	return leaf != nil && leaf.words[i>>6%(1<<(leafBits-6))]&(1<<(i%64)) != 0
}

// size is about how many bytes the set takes.
func (b *bitmap) size() (n int) {
	for _, node := range b.root {
		if node == nil {
			continue
		}
		n += 8 << nodeBits
		for _, leaf := range node.leaves {
			if leaf != nil {
				n += 1 << (leafBits - 3)
			}
		}
	}
	return n
}

// eachWord calls yield for the words that have members, with the number of their first bit, ascending, until it returns
// false.
func (b *bitmap) eachWord(yield func(first, word uint64) bool) {
	for at, node := range b.root {
		if node == nil {
			continue
		}
		for l, leaf := range node.leaves {
			if leaf == nil {
				continue
			}
			first := uint64(at)<<(leafBits+nodeBits) + uint64(l)<<leafBits
			for w, v := range leaf.words {
				if v != 0 && !yield(first+uint64(w)*64, v) {
					return
				}
			}
		}
	}
}

// each calls yield for every member, ascending, until it returns false.
func (b *bitmap) each(yield func(i uint64) bool) {
	for _, g := range b.runs {
		for i := range g.Count {
			if !yield(g.First + i) {
				return
			}
		}
	}
	for first, v := range b.eachWord {
		for ; v != 0; v &= v - 1 {
			if !yield(first + uint64(bits.TrailingZeros64(v))) {
				return
			}
		}
	}
}

// eachRun calls yield for the members in runs as long as possible, ascending, until it returns false.
func (b *bitmap) eachRun(yield func(Granules) bool) {
	var run Granules
	more := func(g Granules) bool {
		if run.Count > 0 && g.First == run.First+run.Count {
			run.Count += g.Count
			return true
		}
		done := run
		run = g
		return done.Count == 0 || yield(done)
	}
	for _, g := range b.runs {
		if !more(g) {
			return
		}
	}
	for first, v := range b.eachWord {
		for at := first; v != 0; {
			skip := uint64(bits.TrailingZeros64(v))
			v >>= skip
			n := uint64(bits.TrailingZeros64(^v))
			if at += skip; !more(Granules{at, n}) {
				return
			}
			v >>= n // 64 leaves nothing
			at += n
		}
	}
	if run.Count > 0 {
		yield(run)
	}
}

// clone is a copy that does not change. It shares its parts with the bitmap, which copies those that it changes later. Runs
// never change.
func (b *bitmap) clone() bitmap {
	b.owner = nil
	return bitmap{root: slices.Clone(b.root), runs: b.runs, n: b.n}
}
