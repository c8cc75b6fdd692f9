//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"golang.org/x/sys/unix"
)

// AttachFile observes the shared mappings that other code in this process has of a file: on a disk, on tmpfs
// or hugetlbfs, or a memfd, which /proc/self/fd/N names. It finds those that exist now, and those that it makes later, which are looked for every so often (WithRescan). Their
// contents, coherence, record locks and madvise flags stay as they are, and after the first touch
// a page costs what it did. Without WithGuard the process's other threads are stopped for some
// hundred microseconds whenever a mapping is covered or given back.
//
// When no mapping exists yet the error is ErrNotMapped.
func (p *Profiler) AttachFile(path string, opts ...RegionOption) (*Region, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retired.Load() {
		return nil, fmt.Errorf("attach file %s: profiler: %w", path, ErrClosed)
	}
	l, err := p.newLook()
	if err != nil {
		return nil, fmt.Errorf("attach file %s: %w", path, err)
	}
	return l.attach(path, opts)
}

// AttachFile is that of the profiler, for what the look has seen.
func (l *Look) AttachFile(path string, opts ...RegionOption) (*Region, error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if l.p.retired.Load() {
		return nil, fmt.Errorf("attach file %s: profiler: %w", path, ErrClosed)
	}
	return l.attach(path, opts)
}

// attach is called with the profiler's mu held.
func (l *Look) attach(path string, opts []RegionOption) (*Region, error) {
	p := l.p
	id, info, err := identify(path)
	if err != nil {
		return nil, fmt.Errorf("attach file: %w", err)
	}
	// A mapping of MapFile is not other code's.
	if o := p.regionOf(id, KindAttached, KindMappedFile); o != nil {
		return nil, fmt.Errorf("attach file %s: %w as region %q: close that first", path, ErrRegistered, o.name)
	}
	first := slices.IndexFunc(l.list, func(m procMap) bool { return id.is(&m) })
	if first < 0 {
		return nil, fmt.Errorf("attach file %s: %w in this process: map it first, or try again later", path, ErrNotMapped)
	}
	if at, err := smapAt(l.list[first].lo); err == nil {
		opts = append(slices.Clone(opts), withLeastGranule(at.page))
	}
	r, err := p.newRegion(path, KindAttached, info.Size(), opts)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.file = id
	r.eng.KnowFile(id.path, id.dev, id.inode)
	if err := r.look(l.list, l.at); err != nil && len(r.maps) == 0 {
		r.closed.Store(true)
		p.forget(r)
		return nil, fmt.Errorf("attach file %s: %w", path, err)
	}
	if len(r.maps) == 0 && r.config.leave {
		r.closed.Store(true)
		p.forget(r)
		return nil, fmt.Errorf("attach file %s: %w but to be written to, which WithoutWritableMappings leaves alone", path, ErrNotMapped)
	}
	return r, nil
}

// regionOf returns the region that observes a file, if it is of one of the kinds. The caller holds
// p.mu.
func (p *Profiler) regionOf(id *fileID, kinds ...Kind) *Region {
	for _, r := range p.regions {
		if slices.Contains(kinds, r.kind) && r.file.inode == id.inode && r.file.dev == id.dev && !r.closed.Load() {
			return r
		}
	}
	return nil
}

// lookNow looks at the mappings as they are. The caller holds r.mu.
func (r *Region) lookNow() error {
	now := engine.Now()
	list, err := r.p.readMaps()
	if err != nil {
		return err
	}
	return r.look(list, now)
}

// look compares the mappings of the region's file with what is armed: what is gone is forgotten,
// what is new is covered. now is when the list was asked for. The caller holds r.mu.
func (r *Region) look(list []procMap, now time.Duration) error {
	var errs []error
	changed, all := r.complete == 0, true
	r.p.eng.Begin(r.eng, len(r.maps)+len(r.uncovered(list)))
	for _, m := range slices.Clone(r.maps) {
		if r.intact(m, list) && !r.leaves(m, list) {
			continue
		}
		changed = true
		if err := r.drop(m); err != nil {
			errs = append(errs, err)
		}
		// What is left of it is to be seen as it is now.
		if fresh, err := r.p.readMaps(); err != nil {
			errs = append(errs, err)
		} else {
			list = fresh
		}
	}
	var coming []procMap
	if !r.p.retired.Load() {
		coming = r.uncovered(list)
	}
	r.expect(coming)
	for _, m := range coming {
		changed = true
		// Covering makes duplicates, of which the list does not know: one may lie where a mapping of the list
		// was until its owner unmapped it, and looks like it.
		for _, m := range r.less(m) {
			if err := r.cover(m, r.complete); err != nil {
				all = false
				if !errors.Is(err, engine.ErrGone) { // else it went while we looked
					errs = append(errs, err)
				}
			}
		}
	}
	if all {
		r.complete = now
	}
	if changed || r.fileSize() != r.lastSize {
		r.lastSize = r.fileSize()
		r.publishMaps(r.lastSize)
	}
	return errors.Join(errs...)
}

// uncovered lists the mappings of the file, less what is armed and the engine's own duplicates.
func (r *Region) uncovered(list []procMap) (out []procMap) {
	for _, m := range list {
		if !r.file.is(&m) || !m.shared && m.prot == 0 {
			continue
		}
		if r.config.leave && m.shared && m.prot&unix.PROT_WRITE != 0 {
			r.noteLeft()
			continue
		}
		out = append(out, r.less(m)...)
	}
	return out
}

// leaves reports whether a mapping has become one that is to be left alone. The caller holds r.mu.
func (r *Region) leaves(m *mapping, list []procMap) bool {
	if !r.config.leave || !slices.ContainsFunc(list, func(l procMap) bool {
		return l.lo < m.Hi && m.Lo < l.hi && l.prot&unix.PROT_WRITE != 0
	}) {
		return false
	}
	r.noteLeft()
	return true
}

func (r *Region) noteLeft() {
	r.p.note("region %s: mappings that can be written to are left alone (WithoutWritableMappings), since a system call on a mutex there would fail; the agent observes them where it is given the path without *?[", r.name)
}

// less is a mapping less what is armed and the engine's own duplicates.
func (r *Region) less(m procMap) []procMap {
	rest := []procMap{m}
	for _, o := range r.maps {
		rest = without(rest, o.Lo, o.Hi)
		rest = without(rest, o.Alias(), o.Alias()+(o.Hi-o.Lo))
	}
	return rest
}

// without cuts [lo, hi) out of mappings.
func without(list []procMap, lo, hi uintptr) (out []procMap) {
	for _, m := range list {
		if hi <= m.lo || m.hi <= lo {
			out = append(out, m)
			continue
		}
		if m.lo < lo {
			left := m
			left.hi = lo
			out = append(out, left)
		}
		if hi < m.hi {
			right := m
			right.offset += int64(hi - m.lo)
			right.lo = hi
			out = append(out, right)
		}
	}
	return out
}
