//go:build linux && (amd64 || arm64)

package profiler

import "fmt"

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

// lockIn is the strictest lock in a range.
func (p *Profiler) lockIn(lo, hi uintptr) (in lock, err error) {
	if !p.eng.AnyLocked() {
		return lockNone, nil
	}
	if err := eachSmap(func(m *smap) bool {
		if m.lo < hi && lo < m.hi {
			in = max(in, m.lock())
		}
		return m.lo < hi
	}); err != nil {
		return lockNone, fmt.Errorf("look for locked memory: %w", err)
	}
	return in, nil
}

// locked refuses memory that its owner has locked: arming it would undo that.
func (p *Profiler) locked(lo, hi uintptr) error {
	in, err := p.lockIn(lo, hi)
	if err == nil && in != lockNone {
		return fmt.Errorf("%w at %#x: %s", ErrLocked, lo, unlockMemory)
	}
	return err
}

// lockedFile refuses a mapping of a file that is locked at once, and reports whether it is locked on fault.
func (p *Profiler) lockedFile(lo, hi uintptr) (onFault bool, err error) {
	in, err := p.lockIn(lo, hi)
	if err == nil && in == lockAll {
		return false, fmt.Errorf("%w: the mapping at %#x: %s", ErrLocked, lo, unlockFile)
	}
	return in == lockOnFault, err
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
