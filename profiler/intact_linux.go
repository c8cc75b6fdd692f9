//go:build linux && (amd64 || arm64)

package profiler

import (
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
)

// intactTries bounds how often mappings that look lost are looked at before the next look does.
const intactTries = 8

// askAgainAfter is for how long the kernel is not asked again whose a piece of a mapping is that looks as it did at the last
// look. Who would take the place of one with memory that looks the same is noticed later then, or when something is done there.
const askAgainAfter = 10 * time.Second

// seenPiece is a line of the list of mappings, or a part of one, that was found to be as it should be.
type seenPiece struct {
	lo, hi uintptr
	file   bool // the file's own mapping, and not our placeholder
	named  bool // it is our placeholder by its name
}

// intact reports whether a mapping is still what was covered: the file where granules were
// touched, our placeholder elsewhere. Anything else means that its owner unmapped it.
func (r *Region) intact(m *mapping, list []procMap) bool {
	m.seen = nil
	return len(r.p.notIntact([]*mapping{m}, list)) == 0
}

// notIntact returns those of some mappings of files, of any regions, that are not intact.
//
// A list of mappings is not one moment's, and while it is read and after it granules are restored.
// So a piece that contradicts counts only when a fresh list shows it too, and the engine did nothing
// there while that one was read. The caller holds mu of their regions: nothing is armed meanwhile.
func (p *Profiler) notIntact(maps []*mapping, list []procMap) (lost []*mapping) {
	var rest []*mapping
	for _, m := range maps {
		if m.Lost() {
			lost = append(lost, m) // what lies there is armed for another region, or not at all
		} else {
			rest = append(rest, m)
		}
	}
	suspects := p.suspects(rest, list)
	for try := 0; len(suspects) > 0 && try < intactTries; try++ {
		before := make([]engine.Census, len(suspects))
		rest = rest[:0]
		for i, s := range suspects {
			before[i] = s.Census(s.lo, s.hi)
			rest = append(rest, s.mapping)
		}
		fresh, err := p.readMaps()
		if err != nil {
			return lost
		}
		var still []suspect
		for _, n := range p.suspects(rest, fresh) {
			s, was := &suspects[n.index], before[n.index]
			if n.lo < s.hi && s.lo < n.hi && was.InFlight == 0 && s.Census(s.lo, s.hi) == was {
				lost = append(lost, n.mapping)
			} else {
				still = append(still, n)
			}
		}
		suspects = still
	}
	return lost
}

// suspect is a mapping of which a list of all mappings shows [lo, hi) as something else than ours.
type suspect struct {
	*mapping
	lo, hi uintptr
	index  int // among those that were asked for
}

// suspects returns those of some mappings that a list contradicts, in their order.
func (p *Profiler) suspects(maps []*mapping, list []procMap) (out []suspect) {
	var claims []engine.Claim
	var of []int // maps, by claim
	pieces := make([]engine.AddrRange, 0, len(maps))
	found := make([]suspect, len(maps))
	now := engine.Now()
	for i, m := range maps {
		if now-m.asked > askAgainAfter {
			m.seen, m.asked = nil, now
		}
		w := walk{r: m.region, m: m, list: list}
		w.run()
		found[i] = suspect{m, w.lo, w.hi, i}
		m.seen = w.seen
		for j, c := range w.covers {
			claims, of, pieces = append(claims, engine.Claim{Target: m.Target, AddrRange: c}), append(of, i), append(pieces, w.pieces[j])
		}
	}
	for _, i := range p.eng.Foreign(claims) {
		// The one that lies lowest counts, as it does among those that look wrong.
		if s := &found[of[i]]; s.lo >= s.hi || pieces[i].Lo < s.lo {
			s.lo, s.hi = pieces[i].Lo, pieces[i].Hi
		}
	}
	for _, s := range found {
		if s.lo < s.hi {
			s.seen = nil
			out = append(out, s)
		}
	}
	return out
}

// walk goes over the lines of a list of mappings that a mapping consists of.
type walk struct {
	r    *Region
	m    *mapping
	list []procMap

	lo, hi         uintptr // the first piece that is something else than ours, or an empty range
	pieces, covers []engine.AddrRange
	seen           []seenPiece
}

// run finds the first piece that is not as it should be, and of those before it that may be our placeholder or not, which there
// are where /dev/zero could not be opened, one granule each for the engine to look at, since our placeholder does not merge
// with other memory. What looks as it did at the last look is left out.
func (w *walk) run() {
	m, known := w.m, w.m.seen
	next := m.Lo
	list := between(w.list, m.Lo, m.Hi)
	for i := range list {
		l := &list[i]
		lo, hi := max(l.lo, next), min(l.hi, m.Hi)
		if lo > next {
			w.lo, w.hi = next, lo
			return
		}
		if lo < hi {
			piece := seenPiece{lo, hi, l.shared, engine.IsPlaceholder(l.path, l.offset, l.lo)}
			for len(known) > 0 && known[0].lo < lo {
				known = known[1:]
			}
			if len(known) == 0 || known[0] != piece || piece.file && !w.r.isOf(m, l) {
				cover, ok := w.r.ours(m, l, lo, hi)
				if !ok {
					w.lo, w.hi = lo, hi
					return
				}
				if cover.Lo < cover.Hi {
					w.pieces, w.covers = append(w.pieces, engine.AddrRange{Lo: lo, Hi: hi}), append(w.covers, cover)
				}
			}
			w.seen = append(w.seen, piece)
		}
		next = max(next, hi)
	}
	w.lo, w.hi = next, m.Hi
}

// isOf reports whether a line is the file's mapping as it was.
func (r *Region) isOf(m *mapping, l *procMap) bool {
	return r.file.is(l) && l.shared && l.offset-int64(l.lo) == m.Offset-int64(m.Lo)
}

// ours reports whether a line of the list of mappings can be as it should be in [lo, hi), and what part
// of it has to be our placeholder then.
func (r *Region) ours(m *mapping, l *procMap, lo, hi uintptr) (cover engine.AddrRange, ok bool) {
	if m.means != byCover || m.Protected() {
		ok := r.isOf(m, l)
		if ok && m.means == byShare {
			cover = engine.AddrRange{Lo: lo, Hi: hi} // registered still, or another mapping of the same
		}
		return cover, ok
	}
	armedLo, armedHi, armed := m.FirstArmed(lo, hi)
	switch {
	case r.file.is(l):
		return cover, r.isOf(m, l) && !armed
	case l.shared || !armed:
		return cover, false
	case engine.IsPlaceholder(l.path, l.offset, l.lo):
		return cover, true
	}
	return engine.AddrRange{Lo: max(armedLo, lo), Hi: min(armedHi, hi)}, true
}
