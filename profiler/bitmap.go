package profiler

import (
	"math/bits"
	"slices"
)

// bitmapStep is how many words a bitmap has room for at least: 4 KiB, for 128 MiB in pages of 4 KiB.
const bitmapStep = 512

// bitmap is a set of granule numbers. It grows as needed.
type bitmap struct {
	words []uint64
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
	w := i / 64
	return w < uint64(len(b.words)) && b.words[w]&(1<<(i%64)) != 0
}

// each calls yield for every member, ascending, until it returns false.
func (b *bitmap) each(yield func(i uint64) bool) {
	for w, v := range b.words {
		for ; v != 0; v &= v - 1 {
			if !yield(uint64(w)*64 + uint64(bits.TrailingZeros64(v))) {
				return
			}
		}
	}
}

func (b *bitmap) clone() bitmap { return bitmap{words: slices.Clone(b.words), n: b.n} }

// addRun adds n members from first on, of which none is one yet, a word at a time.
func (b *bitmap) addRun(first, n uint64) {
	for end := first + n; first < end; {
		b.add(first)
		span := min(64-first%64, end-first)
		b.words[first/64] |= (1<<span - 1) << (first % 64)
		b.n += span - 1
		first += span
	}
}
