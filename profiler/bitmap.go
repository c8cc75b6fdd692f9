package profiler

import (
	"math/bits"
	"slices"
	"sort"
)

// bitmapStep is how many words a bitmap has room for at least: 512 bytes, for 16 MiB in pages of 4 KiB.
const bitmapStep = 64

// bitmap is a set of granule numbers. It grows as needed. One that was restored is its runs instead, and does not
// grow: so it is as large as what was stored, whatever numbers that names.
type bitmap struct {
	words []uint64
	runs  []Granules
	n     uint64 // members
}

// add reports whether i was not yet a member.
func (b *bitmap) add(i uint64) bool {
	w := int(i / 64)
	if w >= len(b.words) {
		if w >= cap(b.words) {
			grown := make([]uint64, len(b.words), max(w+1, 2*len(b.words), bitmapStep))
			copy(grown, b.words)
			b.words = grown
		}
		n := len(b.words)
		b.words = b.words[:w+1]
		clear(b.words[n:])
	}
	if b.words[w]&(1<<(i%64)) != 0 {
		return false
	}
	b.words[w] |= 1 << (i % 64)
	b.n++
	return true
}

func (b *bitmap) has(i uint64) bool {
	if b.runs != nil {
		at := sort.Search(len(b.runs), func(k int) bool { return b.runs[k].First > i })
		return at > 0 && i-b.runs[at-1].First < b.runs[at-1].Count
	}
	w := i / 64
	return w < uint64(len(b.words)) && b.words[w]&(1<<(i%64)) != 0
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
	for w, v := range b.words {
		for ; v != 0; v &= v - 1 {
			if !yield(uint64(w)*64 + uint64(bits.TrailingZeros64(v))) {
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
	for w, v := range b.words {
		for at := uint64(w) * 64; v != 0; {
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

// clone is a copy that does not change. Runs never do.
func (b *bitmap) clone() bitmap { return bitmap{words: slices.Clone(b.words), runs: b.runs, n: b.n} }
