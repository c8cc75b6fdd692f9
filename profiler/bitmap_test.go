package profiler

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// A bitmap is the set that a map would be.
func TestBitmap(t *testing.T) {
	var b bitmap
	want := map[uint64]bool{}
	rnd := rand.New(rand.NewPCG(3, 3))
	for range 2000 {
		i := rnd.Uint64N(5000)
		if b.has(i) != want[i] || b.add(i) == want[i] {
			t.Fatalf("member %d: want %v", i, want[i])
		}
		want[i] = true
	}
	copied := b.clone()
	b.add(1 << 20)
	var got []uint64
	for i := range copied.each {
		got = append(got, i)
	}
	if !slices.Equal(got, slices.Sorted(maps.Keys(want))) || copied.n != uint64(len(want)) {
		t.Errorf("%d members of %d", copied.n, len(want))
	}
	if copied.has(1<<20) || copied.has(1<<40) || !b.has(1<<20) {
		t.Error("a copy is not its own set")
	}
	for i := range b.each {
		if i != got[0] {
			t.Errorf("went on to %d after a break", i)
		}
		break
	}
}

// Copies share what neither of them has changed since, and a set is as large as what is in it, wherever that lies.
func TestBitmapCopiesAndGaps(t *testing.T) {
	type copied struct {
		b    bitmap
		want []uint64
	}
	var b bitmap
	var copies []copied
	want := map[uint64]bool{}
	rnd := rand.New(rand.NewPCG(5, 5))
	for n := range 400 {
		i := rnd.Uint64N(64) << (rnd.Uint64N(5) * 7)
		b.add(i)
		want[i] = true
		if n%20 == 0 {
			copies = append(copies, copied{b.clone(), slices.Sorted(maps.Keys(want))})
		}
	}
	for n, c := range copies {
		var got []uint64
		for i := range c.b.each {
			got = append(got, i)
		}
		runs := uint64(0)
		for g := range c.b.eachRun {
			runs += g.Count
		}
		if !slices.Equal(got, c.want) || c.b.n != uint64(len(got)) || runs != c.b.n {
			t.Errorf("copy %d has %d members, of %d, and %d in runs", n, len(got), len(c.want), runs)
		}
	}
	const tebibyte = 1 << 28 // in pages
	if n := testing.AllocsPerRun(10, func() {
		var b bitmap
		b.add(tebibyte - 1)
	}); n > 4 {
		t.Errorf("the last page of a TiB takes %v allocations", n)
	}
}
