//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// AttachMemory observes private anonymous memory that exists and may hold something: an off-heap cache,
// or memory that a library or C code has mapped. Whole pages inside the slice are observed. The memory
// must not be Go's heap, and needs Linux 6.8. Its owner may discard, protect, move and unmap it; where
// it moves a part with mremap, that part is not observed any more. Without WithGuard the process's other threads are
// stopped for a moment whenever it is armed or given back. Until Close the memory is absent in children
// that fork without exec, as with MADV_DONTFORK. Huge pages are split.
func (p *Profiler) AttachMemory(name string, memory []byte, opts ...RegionOption) (*Region, error) {
	lo := uintptr(unsafe.Pointer(unsafe.SliceData(memory)))
	return p.AttachRange(name, lo, lo+uintptr(len(memory)), opts...)
}

// AttachRange is AttachMemory for addresses, for memory that no Go slice stands for. Parts of the range
// that cannot be attached are left out, and named in the region's note.
func (p *Profiler) AttachRange(name string, start, end uintptr, opts ...RegionOption) (*Region, error) {
	page := uintptr(unix.Getpagesize())
	lo, hi := (start+page-1)&^(page-1), end&^(page-1)
	if lo >= hi {
		return nil, fmt.Errorf("%w: memory %q: no whole page between %#x and %#x", ErrInvalid, name, start, end)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("profiler: %w", ErrClosed)
	}
	pieces, note, err := p.attachable(lo, hi)
	if err != nil {
		return nil, fmt.Errorf("memory %q: %w", name, err)
	}
	r, err := p.newRegion(name, KindMemory, int64(hi-lo), opts)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.update(func(s *RegionStats) { s.Note = note })
	for _, m := range pieces {
		if err := r.attachPiece(lo, m); err != nil {
			if undo := r.detach(); undo != nil {
				return nil, errors.Join(err, undo)
			}
			return nil, fmt.Errorf("memory %q: %w", name, wrap(err))
		}
	}
	r.publishMaps(int64(hi - lo))
	if err := r.applyShare(); err != nil {
		r.p.note("all of region %s is observed for now: %v", r.name, err)
	}
	return r, nil
}

// attachable lists the pieces of a range that can be attached, and says what is left out.
func (p *Profiler) attachable(lo, hi uintptr) (pieces []procMap, note string, err error) {
	if p.eng.UserModeOnly() {
		return nil, "", fmt.Errorf("%w: the profiler may serve user mode only, so a system call that is given this memory would fail", ErrNotSupported)
	}
	if err := p.eng.HaveRearm(); err != nil {
		return nil, "", err
	}
	if p.eng.Owns(lo, hi) {
		return nil, "", fmt.Errorf("%w: it is the profiler's own", ErrInvalid)
	}
	if in, ok := inGoHeap(lo, hi); in || !ok {
		return nil, "", fmt.Errorf("%w: it is Go's heap, or cannot be told from it", ErrNotSupported)
	}
	for _, o := range p.regions {
		o.mu.Lock()
		for _, m := range o.maps {
			if m.Lo < hi && lo < m.Hi {
				err = fmt.Errorf("%w as a part of region %q", ErrRegistered, o.name)
			}
		}
		o.mu.Unlock()
	}
	if err != nil {
		return nil, "", err
	}
	if err := locked(lo, hi); err != nil {
		return nil, "", err
	}
	list, err := p.readMaps()
	if err != nil {
		return nil, "", err
	}
	var left []string
	for _, m := range list {
		m.lo, m.hi = max(m.lo, lo), min(m.hi, hi)
		if m.lo >= m.hi {
			continue
		}
		if why := m.refusal(); why != "" {
			left = append(left, fmt.Sprintf("%d KiB at offset %d are not observed: %s", (m.hi-m.lo)>>10, m.lo-lo, why))
		} else {
			pieces = append(pieces, m)
		}
	}
	note = strings.Join(left, "; ")
	switch {
	case len(pieces) == 0 && note != "":
		return nil, "", fmt.Errorf("%w: %s", ErrNotSupported, note)
	case len(pieces) == 0:
		return nil, "", fmt.Errorf("%w: %#x to %#x", ErrNotMapped, lo, hi)
	}
	return pieces, note, nil
}

// attachPiece arms one mapping with its contents. The caller holds r.mu.
func (r *Region) attachPiece(base uintptr, m procMap) error {
	flags, err := vmFlags(m.lo)
	if err != nil && !errors.Is(err, ErrNotMapped) {
		return err
	}
	g, err := r.p.eng.AddMemory(r.eng, m.lo, m.hi, uintptr(r.config.granule), int64(m.lo-base), r.know)
	if err != nil {
		return err
	}
	if strings.Contains(flags+" ", " dc ") {
		g.KeepDontfork()
	}
	r.maps = append(r.maps, &mapping{Target: g, prot: m.prot})
	took, err := r.p.eng.RearmMemory(g, r.guard())
	r.longest = max(r.longest, took)
	r.update(func(s *RegionStats) { s.Stopped = r.longest })
	return err
}
