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

// locks tells which mappings are locked, of those that there were when it was made. Most processes have none, and then nothing is
// listed.
type locks struct {
	p     *Profiler
	list  []procMap
	files fileSystems
}

// locks makes one of the list of mappings that read returns.
func (p *Profiler) locks(read func() ([]procMap, error)) (l locks, err error) {
	l.p = p
	if !p.eng.AnyLocked() {
		return l, nil
	}
	if l.list, err = read(); err == nil {
		l.files, err = readFileSystems()
	}
	if err != nil {
		return l, fmt.Errorf("look for locked memory: %w", err)
	}
	return l, nil
}

// each calls yield with each mapping in a range that is locked, until it returns false.
func (l *locks) each(lo, hi uintptr, yield func(m *procMap) bool) {
	list := between(l.list, lo, hi)
	for i := range list {
		// The kernel locks no huge pages.
		if m := &list[i]; l.files.of(m) != hugetlbfs && l.p.eng.IsLocked(m.lo) && !yield(m) {
			return
		}
	}
}

// file refuses a mapping of a file that is locked at once, and reports whether it is locked on fault. Where a placeholder
// lies it is that: locking it at once would have filled it, and so put the file back.
func (l *locks) file(lo, hi uintptr) (onFault bool, err error) {
	l.each(lo, hi, func(m *procMap) bool {
		at := lockOnFault
		if m.shared {
			at, err = l.p.lockAt(m)
		}
		if at == lockAll {
			err = fmt.Errorf("%w: the mapping at %#x: %s", ErrLocked, lo, unlockFile)
		}
		onFault = true
		return err == nil
	})
	return onFault, err
}

// lockAt is how a shared mapping is locked that is locked, and not observed: see Engine.duplicate.
func (p *Profiler) lockAt(m *procMap) (lock, error) {
	all, ok := p.eng.LockedAtOnce(m.lo)
	switch {
	case !ok:
		at, err := smapAt(m.lo)
		return at.lock(), err
	case all:
		return lockAll, nil
	}
	return lockOnFault, nil
}

// locked refuses memory that its owner has locked: arming it would undo that.
func (p *Profiler) locked(lo, hi uintptr) error {
	l, err := p.locks(p.readMaps)
	l.each(lo, hi, func(*procMap) bool {
		err = fmt.Errorf("%w at %#x: %s", ErrLocked, lo, unlockMemory)
		return false
	})
	return err
}

// keepLocked has pages that were moved aside locked as their owner's memory is, which it may have locked since
// (mlock2 with MLOCK_ONFAULT; other locks bring them home, or take them in).
func (p *Profiler) keepLocked(regions []*Region) error {
	if len(regions) == 0 || !p.eng.AnyLocked() {
		return nil
	}
	list, err := p.readMaps()
	if err != nil {
		return err
	}
	for _, r := range regions {
		r.mu.Lock()
		for _, o := range r.maps {
			if !o.Layered() {
				continue
			}
			for _, m := range between(list, o.Lo, o.Hi) {
				p.eng.LockLayers(o.Target, m.lo, m.hi, p.eng.IsLocked(m.lo))
			}
		}
		r.mu.Unlock()
	}
	return nil
}
