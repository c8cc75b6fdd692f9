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
