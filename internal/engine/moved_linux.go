//go:build linux && (amd64 || arm64)

package engine

import (
	"github.com/firsttouch/firsttouch/internal/raw"
)

// movedAway has the contents of memory follow where its owner has moved it, by a disk thread: while
// another event is unread the kernel moves no page. Until then the touchers of the new place wait.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) movedAway(w *worker, from, to, length uintptr) {
	t := s.find(from)
	if t != nil && t.kind == kindWrites {
		s.leave(w, t, to, length)
		return
	}
	if t == nil || t.kind != kindArena {
		s.unregister(w, s.arenaFD, to, length)
		return
	}
	s.retrieve(w, t, from, to, length)
}

// homeStep is how many bytes are moved while nobody else may read the descriptor.
const homeStep = 1 << 20

// followMove brings home what the layers hold of a moved piece, to where it is now, and ends its
// observation.
//
//go:nosplit
//go:norace
//go:nocheckptr
func followMove(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t, p := at[target](w.now.target), w.now.moved
	n := min(p.length, t.hi-p.from)
	for done := uintptr(0); done < n; {
		step := min(n-done, homeStep)
		s.lock(w, &s.reading)
		ok := s.bringBoth(w, t, p.from+done, p.to+done, step)
		unlock(&s.reading)
		if ok {
			done += step
		} else {
			s.nap(w, 50e3)
		}
	}
	end := p.to + p.length
	if lo, hi, _, ok := s.query(w, p.to); ok && lo == p.to && s.find(hi-1) == nil {
		end = max(end, hi) // it has grown, too
	} else {
		for s.find(end) == nil && s.registered(w, s.arenaFD, end, s.pageSize) == answerYes {
			end += s.pageSize
		}
	}
	s.unregister(w, s.arenaFD, p.to, end-p.to)
	raw.Add32(&t.inflight, ^uint32(0))
}

// bringBoth moves what the layers hold of a piece of the target to another place.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) bringBoth(w *worker, t *target, from, to, length uintptr) (ok bool) {
	for _, layer := range [2]uint64{raw.Load64(&t.young), raw.Load64(&t.old)} {
		if layer == 0 {
			continue
		}
		if _, ok := s.bring(w, t, uintptr(layer)+from-t.lo, to, length); !ok {
			return false
		}
	}
	return true
}
