//go:build linux && (amd64 || arm64)

package profiler

import (
	"slices"

	"github.com/firsttouch/firsttouch/internal/engine"
)

// intactTries bounds how often a mapping that looks lost is looked at before the next rescan does.
const intactTries = 8

// intact reports whether a mapping is still what was covered: the file where granules were
// touched, our placeholder elsewhere. Anything else means that its owner unmapped it.
//
// A list of mappings is not one moment's, and while it is read and after it granules are restored.
// So a piece that contradicts counts only when a fresh list shows it too, and the engine did nothing
// there while that one was read. The caller holds r.mu: nothing is armed meanwhile.
func (r *Region) intact(m *mapping, list []procMap) bool {
	if m.Lost() {
		return false // what lies there is armed for another region, or not at all
	}
	lo, hi := r.contradiction(m, list)
	for try := 0; lo < hi && try < intactTries; try++ {
		before := m.Census(lo, hi)
		fresh, err := r.p.readMaps()
		if err != nil {
			return true
		}
		newLo, newHi := r.contradiction(m, fresh)
		if newLo < hi && lo < newHi && before.InFlight == 0 && m.Census(lo, hi) == before {
			return false
		}
		lo, hi = newLo, newHi
	}
	return true
}

// contradiction returns the first piece of a mapping that a list of all mappings shows as something
// else than ours, or an empty range.
func (r *Region) contradiction(m *mapping, list []procMap) (lo, hi uintptr) {
	lo, hi, pieces, covers := r.walk(m, list)
	if i := r.p.eng.Foreign(m.Target, covers); i >= 0 {
		return pieces[i].Lo, pieces[i].Hi
	}
	return lo, hi
}

// walk is contradiction but for the pieces that look like our placeholder: of those it returns one
// granule each for the engine to look at, since our placeholder does not merge with other memory.
func (r *Region) walk(m *mapping, list []procMap) (lo, hi uintptr, pieces, covers []engine.AddrRange) {
	next := m.Lo
	i, _ := slices.BinarySearchFunc(list, m.Lo, func(l procMap, lo uintptr) int {
		if l.hi <= lo {
			return -1
		}
		return 1
	})
	for ; i < len(list) && list[i].lo < m.Hi; i++ {
		l := &list[i]
		lo, hi := max(l.lo, next), min(l.hi, m.Hi) // lines may overlap: mappings merge while the list is read
		if lo > next {
			return next, lo, pieces, covers
		}
		if lo < hi {
			cover, ok := r.ours(m, l, lo, hi)
			if !ok {
				return lo, hi, pieces, covers
			}
			if cover.Lo < cover.Hi {
				pieces, covers = append(pieces, engine.AddrRange{Lo: lo, Hi: hi}), append(covers, cover)
			}
		}
		next = max(next, hi)
	}
	return next, m.Hi, pieces, covers
}

// ours reports whether a line of the list of mappings can be as it should be in [lo, hi), and what part
// of it has to be our placeholder then.
func (r *Region) ours(m *mapping, l *procMap, lo, hi uintptr) (cover engine.AddrRange, ok bool) {
	if m.means != byCover {
		ok := r.file.is(l) && l.shared && l.offset-int64(l.lo) == m.Offset-int64(m.Lo)
		if ok && m.means == byShare {
			cover = engine.AddrRange{Lo: lo, Hi: hi} // registered still, or another mapping of the same
		}
		return cover, ok
	}
	armedLo, armedHi, armed := m.FirstArmed(lo, hi)
	switch {
	case r.file.is(l):
		return cover, l.shared && l.offset-int64(l.lo) == m.Offset-int64(m.Lo) && !armed
	case l.inode != 0 || l.shared || !armed:
		return cover, false
	}
	return engine.AddrRange{Lo: max(armedLo, lo), Hi: min(armedHi, hi)}, true
}
