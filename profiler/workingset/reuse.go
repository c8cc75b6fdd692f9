package workingset

import (
	"errors"
	"math"
	"slices"
)

// Reuse estimates reuse distances: how many distinct granules were touched between two touches of the
// same one. It follows the granules whose hash is below a threshold and scales what it finds by the
// share of them (SHARDS: Waldspurger and others, "Efficient MRC Construction with SHARDS", FAST 2015).
// At a rate of 1 it is exact. It is not safe for concurrent use.
type Reuse struct {
	rate      float64
	shown     float64                     // share of all granules that Touch is called for
	block     func(granule uint64) uint64 // in which they were chosen; nil for one by one
	threshold uint64
	clock     int
	at        map[uint64]int // place of a granule's last touch, from 1
	marks     []int          // Fenwick tree over places: 1 for those that are a granule's last
	reuses    []reuse
	all       float64 // touches, sampled or not
}

// reuse is a sampled touch of a granule that was touched before.
type reuse struct {
	granule  uint64
	distance float64 // scaled
}

// NewReuse samples the given share of the granules, above 0 and at most 1.
func NewReuse(rate float64) (*Reuse, error) {
	if !(rate > 0 && rate <= 1) {
		return nil, errors.New("the share of granules to sample must be above 0 and at most 1")
	}
	r := &Reuse{rate: rate, shown: 1, at: make(map[uint64]int), marks: make([]int, 1)}
	r.threshold = math.MaxUint64
	if rate < 1 {
		r.threshold = uint64(rate * float64(1<<63) * 2)
	}
	return r, nil
}

// Shown says that from now on Touch is called for a share of the granules only, and always for the same ones:
// those to keep. It must be a part of those before. They were chosen in blocks, whose granules may be alike: errors
// are made of how much the blocks differ. nil stands for granules that were chosen one by one.
func (r *Reuse) Shown(share float64, keep func(granule uint64) bool, block func(granule uint64) uint64) {
	if share >= r.shown {
		return
	}
	r.block = block
	r.all *= share / r.shown
	r.shown = share
	for g, place := range r.at {
		if !keep(g) {
			delete(r.at, g)
			r.add(place, -1)
		}
	}
	r.reuses = slices.DeleteFunc(r.reuses, func(u reuse) bool { return !keep(u.granule) })
}

// hash mixes a granule's number (the finalizer of MurmurHash3), so that neighbours are sampled
// independently of each other.
func hash(v uint64) uint64 {
	v ^= v >> 33
	v *= 0xff51afd7ed558ccd
	v ^= v >> 33
	v *= 0xc4ceb9fe1a85ec53
	return v ^ v>>33
}

// Touch takes the next touch, in order.
func (r *Reuse) Touch(granule uint64) {
	r.all++
	if hash(granule) > r.threshold {
		return
	}
	before, seen := r.at[granule]
	if seen {
		between := r.sum(r.clock) - r.sum(before)
		r.reuses = append(r.reuses, reuse{granule, float64(between) / (r.rate * r.shown)})
		r.add(before, -1)
	}
	r.clock++
	r.marks = append(r.marks, r.sumRange(r.clock))
	r.add(r.clock, 1)
	r.at[granule] = r.clock
}

// sumRange is what a new node of the tree begins with: the sum of those that it stands for.
func (r *Reuse) sumRange(i int) int { return r.sum(i-1) - r.sum(i-i&-i) }

func (r *Reuse) sum(i int) (s int) {
	for ; i > 0; i -= i & -i {
		s += r.marks[i]
	}
	return s
}

func (r *Reuse) add(i, v int) {
	for ; i < len(r.marks); i += i & -i {
		r.marks[i] += v
	}
}

// Point is one point of a miss-ratio curve.
type Point struct {
	Size float64 // of a cache with least recently used replacement, in granules
	Miss float64 // share of the touches that it would miss, 0 to 1
	// Error is the standard error of Miss that comes from sampling; 0 at a rate of 1. It is made of how much the
	// misses of the sampled granules differ, or of blocks of them, and of how far off Size may be: few sampled
	// granules, or blocks, fit into a small one.
	Error float64
}

// MissRatio returns the miss-ratio curve at the given cache sizes. A touch whose distance is at least the
// size is a miss, and so is a granule's first one. The sampled touches are corrected by how many there
// should have been (SHARDS-adj). nil before the first touch.
func (r *Reuse) MissRatio(sizes []float64) []Point {
	if r.all == 0 {
		return nil
	}
	// Dividing by how many touches should have been sampled counts what is missing, or too much, as hits at
	// the smallest distance: it is usually the reuse of the few granules that are used most.
	want := r.all * r.rate
	points := make([]Point, 0, len(sizes))
	alike, blocks := r.alike()
	for _, size := range sizes {
		misses, squares := r.misses(size)
		p := Point{Size: size, Miss: min(misses/want, 1)}
		if rate := r.rate * r.shown; rate < 1 {
			var vertical float64
			if r.block == nil {
				vertical = math.Sqrt((1-rate)*max(squares, 1)) / want
			} else {
				// First blocks were chosen, then granules of them.
				vertical = math.Sqrt((1-r.rate)*squares+(1-r.shown)*max(r.blockSquares(size, p.Miss), 1)) / want
			}
			off := math.Sqrt((1 - rate) / max(size*rate/alike, 1))
			more, _ := r.misses(size * (1 - min(off, 1)))
			less, _ := r.misses(size * (1 + off))
			p.Error = math.Hypot(vertical, (more-less)/2/want)
			if r.block != nil && blocks < 2 {
				p.Error = 1 // one block says nothing of the others
			}
		}
		points = append(points, p)
	}
	return points
}

// alike is how many sampled granules were chosen together: the size of the block that one of them is in, on average; and
// the number of blocks.
func (r *Reuse) alike() (size float64, n int) {
	if r.block == nil || len(r.at) == 0 {
		return 1, 0
	}
	blocks := make(map[uint64]float64)
	for g := range r.at {
		blocks[r.block(g)]++
	}
	squares := 0.0
	for _, n := range blocks {
		squares += n * n
	}
	return squares / float64(len(r.at)), len(blocks)
}

// blockSquares adds up by how much each block's misses are more or less than its touches at a miss ratio, squared: since
// the touches of the same blocks are what misses are divided by.
func (r *Reuse) blockSquares(size, miss float64) (squares float64) {
	blocks := make(map[uint64]float64)
	for g := range r.at {
		blocks[r.block(g)] += 1 - miss // the first touch
	}
	for _, u := range r.reuses {
		if blocks[r.block(u.granule)] -= miss; u.distance >= size {
			blocks[r.block(u.granule)]++
		}
	}
	for _, v := range blocks {
		squares += v * v
	}
	if k := float64(len(blocks)); k > 1 {
		squares *= k / (k - 1)
	}
	return squares
}

// misses counts the sampled touches that a cache of this size would miss, and adds up the squares of
// each granule's.
func (r *Reuse) misses(size float64) (n, squares float64) {
	each := make(map[uint64]float64, len(r.at))
	for g := range r.at {
		each[g] = 1 // the first touch
	}
	for _, u := range r.reuses {
		if u.distance >= size {
			each[u.granule]++
		}
	}
	for _, v := range each {
		n += v
		squares += v * v
	}
	return n, squares
}
