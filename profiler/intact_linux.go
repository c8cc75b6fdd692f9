//go:build linux && (amd64 || arm64)

package profiler

import "slices"

// intactTries bounds how often a mapping that looks lost is looked at before the next rescan does.
const intactTries = 8

// intact reports whether a mapping is still what was covered: the file where granules were
// touched, our placeholder elsewhere. Anything else means that its owner unmapped it.
//
// A list of mappings is not one moment's, and while it is read and after it granules are restored.
// So a piece that contradicts counts only when a fresh list shows it too, and the engine did nothing
// there while that one was read. The caller holds r.mu: nothing is armed meanwhile.
func (r *Region) intact(m *mapping, list []procMap) bool {
	lo, hi := r.contradiction(m, list)
	for try := 0; lo < hi && try < intactTries; try++ {
		before := m.Census(lo, hi)
		fresh, err := readMaps()
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
			return next, lo
		}
		if lo < hi && !r.ours(m, l, lo, hi) {
			return lo, hi
		}
		next = max(next, hi)
	}
	return next, m.Hi
}

// ours reports whether a line of the list of mappings is as it should be in [lo, hi).
func (r *Region) ours(m *mapping, l *procMap, lo, hi uintptr) bool {
	armedLo, armedHi, armed := m.FirstArmed(lo, hi)
	switch {
	case r.file.is(l):
		return l.shared && l.offset-int64(l.lo) == m.Offset-int64(m.Lo) && !armed
	case l.inode != 0 || l.shared:
		return false
	}
	// Our placeholder does not merge with other memory, so one granule of it tells of all.
	return armed && r.p.eng.Ours(m.Target, max(armedLo, lo), min(armedHi, hi))
}
