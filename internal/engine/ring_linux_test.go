//go:build linux && (amd64 || arm64)

package engine

import (
	"runtime"
	"sync"
	"testing"

	"github.com/firsttouch/firsttouch/internal/raw"
)

// A ring that never has more records than it has places drops none, also where a thread that claims one gets no
// processor for a while, and others claim and the reader goes on meanwhile.
func TestClaimsThatFitAreNotDropped(t *testing.T) {
	const claimers, each = 2, 300_000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(3 * claimers))
	s := &shared{ringMask: 63}
	var wg sync.WaitGroup
	for range claimers {
		wg.Go(func() {
			for range each {
				seq, ok := s.claim()
				if !ok {
					continue // counted
				}
				for raw.Load64(&s.tail) != seq {
					runtime.Gosched()
				}
				raw.Store64(&s.tail, seq+1) // as the reader does
			}
		})
	}
	wg.Wait()
	if s.dropped != 0 || s.head != claimers*each || s.tail != s.head {
		t.Errorf("%d of %d were dropped, with at most %d of 64 places taken", s.dropped, claimers*each, claimers)
	}
}
