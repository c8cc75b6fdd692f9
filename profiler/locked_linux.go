//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"sort"
)

// lock is whether a mapping is locked in memory. A higher one is stricter.
type lock uint8

const (
	lockNone    lock = iota
	lockOnFault      // each page from its first touch on (MLOCK_ONFAULT, MCL_ONFAULT)
	lockAll          // all of it
)

// What to do about memory that is locked.
const (
	unlockFile   = "all of it is in memory already and has to stay there: unlock it (munlock), or lock it on fault (MLOCK_ONFAULT, MCL_ONFAULT)"
	unlockMemory = "its pages would have to be let go: unlock it (munlock), or observe writes alone (WithWritesOnly)"
)

// lock says how a mapping is locked.
func (m *smap) lock() lock {
	switch {
	case !m.has("lo"):
		return lockNone
	case m.has("lf"):
		return lockOnFault
	}
	return lockAll
}

// locks are the mappings that are locked, by address.
type locks []struct {
	lo, hi uintptr
	how    lock
}

// locks lists them. Most processes have none, and then nothing is listed.
func (p *Profiler) locks() (list locks, err error) {
	if !p.eng.AnyLocked() {
		return nil, nil
	}
	if err := eachSmap(func(m *smap) bool {
		if how := m.lock(); how != lockNone {
			list = append(list, struct {
				lo, hi uintptr
				how    lock
			}{m.lo, m.hi, how})
		}
		return true
	}); err != nil {
		return nil, fmt.Errorf("look for locked memory: %w", err)
	}
	return list, nil
}

// in is the strictest lock in a range.
func (l locks) in(lo, hi uintptr) (in lock) {
	i := sort.Search(len(l), func(i int) bool { return l[i].hi > lo })
	for ; i < len(l) && l[i].lo < hi; i++ {
		in = max(in, l[i].how)
	}
	return in
}

// file refuses a mapping of a file that is locked at once, and reports whether it is locked on fault.
func (l locks) file(lo, hi uintptr) (onFault bool, err error) {
	in := l.in(lo, hi)
	if in == lockAll {
		return false, fmt.Errorf("%w: the mapping at %#x: %s", ErrLocked, lo, unlockFile)
	}
	return in == lockOnFault, nil
}

// locked refuses memory that its owner has locked: arming it would undo that.
func (p *Profiler) locked(lo, hi uintptr) error {
	l, err := p.locks()
	if err == nil && l.in(lo, hi) != lockNone {
		return fmt.Errorf("%w at %#x: %s", ErrLocked, lo, unlockMemory)
	}
	return err
}

// keepLocked has pages that were moved aside locked as their owner's memory is, which it may have locked since
// (mlock2 with MLOCK_ONFAULT; other locks bring them home, or take them in).
func (p *Profiler) keepLocked(regions []*Region) error {
	if len(regions) == 0 || !p.eng.AnyLocked() {
		return nil
	}
	var list []smap
	if err := eachSmap(func(m *smap) bool { list = append(list, *m); return true }); err != nil {
		return err
	}
	for _, r := range regions {
		r.mu.Lock()
		for _, o := range r.maps {
			if !o.Layered() {
				continue
			}
			for i := range list {
				if m := &list[i]; m.lo < o.Hi && o.Lo < m.hi {
					p.eng.LockLayers(o.Target, m.lo, m.hi, m.lock() != lockNone)
				}
			}
		}
		r.mu.Unlock()
	}
	return nil
}
