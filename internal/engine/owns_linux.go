//go:build linux && (amd64 || arm64)

package engine

import "unsafe"

// Owns reports whether some of [lo, hi) is memory of the engine, which its threads must never fault on.
func (e *Engine) Owns(lo, hi uintptr) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	overlaps := func(p, size uintptr) bool { return p != 0 && p < hi && lo < p+size }
	for _, m := range e.mem {
		if overlaps(m.p, m.size) {
			return true
		}
	}
	e.goneMu.Lock()
	counted := false
	for r := range e.counted {
		counted = counted || overlaps(uintptr(unsafe.Pointer(r.c)), countersLen)
	}
	e.goneMu.Unlock()
	if counted {
		return true
	}
	for _, t := range e.threads {
		if overlaps(t.Memory()) {
			return true
		}
	}
	for _, g := range e.targets {
		if overlaps(g.t.states, statesLen(g.t)) || overlaps(g.t.marks, marksLen(g.t, e.s.pageSize)) ||
			overlaps(g.t.alias, g.Hi-g.Lo) || overlaps(uintptr(g.t.old), g.Hi-g.Lo) || overlaps(uintptr(g.t.young), g.Hi-g.Lo) {
			return true
		}
	}
	return false
}
