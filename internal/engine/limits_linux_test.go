//go:build linux && (amd64 || arm64)

package engine

import (
	"errors"
	"math"
	"sync"
	"testing"

	"github.com/firsttouch/firsttouch/internal/raw"
)

// A count of the mappings is some moments old when it arrives. What was restored since it began is not
// lost, and what the estimate was wrong by is corrected once, by however many count.
func TestMapsAreCorrectedByTheDifference(t *testing.T) {
	s := &shared{maxMaps: 1000}
	raw.Store64(&s.maps, 500)
	before := raw.Load64(&s.maps)
	raw.Add64(&s.maps, 7) // restored while somebody counts
	s.correctMaps(before, 480)
	if n := raw.Load64(&s.maps); n != 487 {
		t.Errorf("%d mappings, want 480 and 7 more", n)
	}
	const restores, counts = 10000, 1000
	start := raw.Load64(&s.maps)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range restores {
			raw.Add64(&s.maps, 1)
		}
	})
	for range counts {
		before := raw.Load64(&s.maps)
		s.correctMaps(before, int(before)) // nothing to correct
	}
	wg.Wait()
	if n := raw.Load64(&s.maps) - start; n != restores {
		t.Errorf("%d restores are left of %d after %d counts", n, restores, counts)
	}
}

// An estimate below zero is few mappings, and not more than any limit.
func TestMapsShort(t *testing.T) {
	for _, c := range []struct {
		maps int64
		want bool
	}{{-3, false}, {-1, false}, {0, false}, {1000, false}, {1001, true}, {math.MaxInt64, true}} {
		s := &shared{maxMaps: 1000, maps: uint64(c.maps)}
		if got := s.mapsShort(); got != c.want {
			t.Errorf("%d of 1000 mappings: short %v", c.maps, got)
		}
	}
}

// Near the limit of mappings no list of them is made, since the runtime ends a process that can have no memory for it.
func TestNoListsNearTheLimit(t *testing.T) {
	s := &shared{mostMaps: 1000}
	for counted, refused := range map[int]bool{1: false, 1000 - lastMaps - 1: false, 1000 - lastMaps: true, 1000: true, 1001: true} {
		if err := s.noLists(counted); errors.Is(err, ErrMaps) != refused {
			t.Errorf("%d mappings of 1000: %v", counted, err)
		}
	}
}
