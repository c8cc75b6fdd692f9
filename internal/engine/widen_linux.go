//go:build linux && (amd64 || arm64)

package engine

import (
	"github.com/firsttouch/firsttouch/internal/raw"
)

// mapsAdded is how many mappings more the process has after n granules were restored: a hole in
// the placeholder makes two, a restored neighbour merges.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *target) mapsAdded(first, n uintptr) uint64 {
	added := uint64(2)
	if first == 0 || raw.Load32(t.state(first-1)) == gOpen {
		added--
		if first != 0 {
			added--
		}
	}
	if first+n >= t.granules() || raw.Load32(t.state(first+n)) == gOpen {
		added--
		if first+n < t.granules() {
			added--
		}
	}
	return added
}

// widenMost bounds how far a restore reaches to each side when mappings run out.
const widenMost = 1 << 14

// widen claims the armed granules around g: replacing a whole run of the placeholder leaves fewer
// mappings than there were. It reaches less far where something else lies in the run.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) widen(w *worker, t *target, g uintptr) (first, n uintptr) {
	for reach := uintptr(widenMost); reach > 0; reach /= 4 {
		first, n = s.claimRun(t, g, reach)
		addr, length := t.span(first, n)
		if n == 1 || s.whole(w, t, addr, length) {
			return first, n
		}
		s.unclaim(t, first, n, g)
	}
	return g, 1
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) claimRun(t *target, g, reach uintptr) (first, n uintptr) {
	first, n = g, 1
	for first > 0 && g-first < reach && !t.given(t.base+(first-1)<<t.shift) && raw.Cas32(t.state(first-1), gArmed, gPending) {
		first--
		n++
	}
	for end := t.granules(); first+n < end && first+n-g < reach && raw.Cas32(t.state(first+n), gArmed, gPending); {
		n++
	}
	return first, n
}

// openAround publishes the granules that were restored together with g.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) openAround(w *worker, t *target, first, n, g uintptr) {
	if n == 1 {
		return
	}
	for i := first; i < first+n; i++ {
		if i != g {
			raw.Store32(t.state(i), gOpen)
		}
	}
	raw.Add64(&s.widened, uint64(n-1))
	raw.Add64(&at[counters](t.counters).widened, uint64(n-1))
	s.wake(w, t, first, n)
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) unclaim(t *target, first, n, g uintptr) {
	for i := first; i < first+n; i++ {
		if i != g {
			raw.Store32(t.state(i), gArmed)
		}
	}
}
