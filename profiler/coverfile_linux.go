//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
)

// coverShared observes a mapping of a file without a placeholder, where the file lies in memory or writes
// alone are wanted. done is false for what a placeholder has to cover: files on a disk, and on tmpfs those
// that are open for reading only, which userfaultfd does not take. What MapFile has mapped is one of
// those. The caller holds r.mu.
//
// Where both ways are open this one is better: it adds no mappings, takes no addresses, and a page
// that is mapped again is not a piece of another mapping.
func (r *Region) coverShared(m *procMap, kind string) (done bool, err error) {
	switch {
	case kind == hugetlbfs:
	case kind != tmpfs && r.config.writes:
		return false, fmt.Errorf("%w: %s", ErrNotSupported, noWrites)
	case kind != tmpfs || r.kind == KindMappedFile && !r.config.writes:
		return false, nil
	}
	p := piece{procMap: *m, means: byShare}
	if r.config.writes {
		p.means = byProtect
	}
	if r.p.eng.Observes(m.lo, m.hi, m.dev, m.inode) {
		return false, fmt.Errorf("%w: a part of the mapping at %#x is in another region: close that first", ErrRegistered, m.lo)
	}
	at := r.p.probe(m, kind)
	p.page = at.page
	if p.means == byShare {
		if err := r.p.locked(m.lo, m.hi); err != nil {
			return false, err
		}
	}
	g, _, err := r.observe(p, m.offset)
	if errors.Is(err, ErrNotSupported) && p.means == byShare && !at.huge() {
		return false, nil
	}
	if err != nil {
		return false, r.p.wrap(err)
	}
	if r.complete != 0 {
		g.latency = g.Since - r.complete
	}
	r.add(g)
	return true, nil
}

// noWrites is why WithWritesOnly is refused.
const noWrites = "writes alone cannot be observed of a file on a disk: the kernel tells that pages were written, but not when or by whom"
