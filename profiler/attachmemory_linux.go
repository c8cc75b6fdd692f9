//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// AttachMemory observes memory that exists and may hold something: an off-heap cache, the heap of C code,
// memory shared with other processes, huge pages. Whole pages inside the slice are observed. It must not be
// Go's heap. Each mapping in it is observed in the way of its kind (see Mappings): pages of private memory
// are moved aside, which needs Linux 6.8 and splits huge ones; of shared memory the page tables alone are
// dropped, and touches of other processes are not seen.
//
// Its owner may discard, protect, move and unmap it; where it moves a part with mremap, that part is not
// observed any more. Without WithGuard the process's other threads are stopped for a moment whenever it is
// armed, and when private memory is given back. Until Close private memory is absent in children that fork
// without exec, as with MADV_DONTFORK.
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
	writes, err := writesOnly(opts)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retired.Load() {
		return nil, fmt.Errorf("profiler: %w", ErrClosed)
	}
	if p.observes() {
		return p.attachSeen(name, lo, hi, opts)
	}
	pieces, note, err := p.attachable(lo, hi, writes)
	if err != nil {
		return nil, fmt.Errorf("memory %q: %w", name, err)
	}
	for _, m := range pieces {
		page = max(page, m.page)
	}
	lo &^= page - 1 // granules begin where huge pages do
	r, err := p.newRegion(name, KindMemory, int64(hi-lo), append(slices.Clone(opts), withLeastGranule(page)))
	if err != nil {
		return nil, err
	}
	defer r.mu.Unlock()
	r.update(func(s *RegionStats) { s.Note = note })
	r.p.eng.Begin(r.eng, len(pieces))
	for _, m := range pieces {
		if err := r.attachPiece(lo, m); err != nil {
			if undo := r.detach(); undo != nil {
				return nil, errors.Join(err, undo)
			}
			return nil, fmt.Errorf("memory %q: %w", name, r.p.wrap(err))
		}
	}
	r.publishMaps(int64(hi - lo))
	if err := r.applyShare(); err != nil {
		r.p.note("all of region %s is observed for now: %v", r.name, err)
	}
	return r, nil
}

// writesOnly reports whether the options have WithWritesOnly.
func writesOnly(opts []RegionOption) (bool, error) {
	var c regionConfig
	for _, o := range opts {
		if err := o.applyRegion(&c); err != nil {
			return false, err
		}
	}
	return c.writes, nil
}

// attachable lists the pieces of a range that can be attached, and says what is left out.
func (p *Profiler) attachable(lo, hi uintptr, writes bool) (pieces []piece, note string, err error) {
	if p.eng.UserModeOnly() && p.config.delivery != DeliverySignal {
		return nil, "", fmt.Errorf("%w: the profiler may serve user mode only, so a system call that is given this memory would fail", ErrNotSupported)
	}
	if p.eng.Owns(lo, hi) {
		return nil, "", fmt.Errorf("%w: it is the profiler's own", ErrInvalid)
	}
	heap, err := p.heapNow()
	if err != nil {
		return nil, "", err
	}
	if !heap.all || heap.has(lo, hi) {
		return nil, "", fmt.Errorf("%w: it is Go's heap, or cannot be told from it: use AttachGoHeap", ErrNotSupported)
	}
	for _, o := range p.openRegions() {
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
	judge, err := p.newJudge()
	if err != nil {
		return nil, "", err
	}
	var left []string
	kind := error(ErrNotSupported)
	list, err := p.readMaps()
	if err != nil {
		return nil, "", err
	}
	for i := range list {
		from, to := max(list[i].lo, lo), min(list[i].hi, hi)
		if from >= to {
			continue
		}
		probed := p.probe(&list[i], judge.files.of(&list[i]))
		m := &probed
		from, to = (from+m.page-1)&^(m.page-1), to&^(m.page-1)
		why := judge.refusal(m, writes)
		if why == "" && from >= to {
			why = "it is less than a huge page"
		}
		if why != "" {
			if m.lock() != lockNone && !writes {
				kind = ErrLocked
			}
			from, to = max(m.lo, lo), min(m.hi, hi)
			left = append(left, fmt.Sprintf("%d KiB at offset %d are not observed: %s", (to-from)>>10, from-lo, why))
			continue
		}
		at := m.procMap
		at.offset += int64(from - m.lo)
		at.lo, at.hi = from, to
		pieces = append(pieces, piece{procMap: at, means: judge.means(m, writes), page: m.page})
	}
	note = strings.Join(left, "; ")
	switch {
	case len(pieces) == 0 && note != "":
		return nil, "", fmt.Errorf("%w: %s", kind, note)
	case len(pieces) == 0:
		return nil, "", fmt.Errorf("%w: %#x to %#x", ErrNotMapped, lo, hi)
	}
	return pieces, note, nil
}

// attachPiece arms one mapping with its contents. The caller holds r.mu.
func (r *Region) attachPiece(base uintptr, m piece) error {
	offset := int64(m.lo - base)
	if m.means == byAccess {
		err := r.takeAccess(m, offset)
		r.update(func(s *RegionStats) { s.Stopped = r.longest })
		return err
	}
	if m.means != byMove {
		g, _, err := r.observe(m, offset)
		if err == nil {
			r.maps = append(r.maps, g)
		}
		r.update(func(s *RegionStats) { s.Stopped = r.longest })
		return err
	}
	dontfork, ok := r.p.eng.Dontfork(m.lo)
	if !ok {
		at, err := smapAt(m.lo)
		if err != nil && !errors.Is(err, ErrNotMapped) {
			return err
		}
		dontfork = at.has("dc")
	}
	g, err := r.p.eng.AddMemory(r.eng, m.lo, m.hi, uintptr(r.config.granule), offset, r.p.know)
	if err != nil {
		return err
	}
	if dontfork {
		g.KeepDontfork()
	}
	armed := &mapping{Target: g, means: byMove, prot: m.prot}
	r.maps = append(r.maps, armed)
	took, err := r.p.eng.RearmMemory(g, r.guard())
	r.openHeld([]*mapping{armed})
	r.longest = max(r.longest, took)
	r.update(func(s *RegionStats) { s.Stopped = r.longest })
	return err
}

// RegionsOf returns the regions that observe some of this memory, but for those that own it (NewArena, MapFile).
func (p *Profiler) RegionsOf(memory []byte) (list []*Region) {
	lo := uintptr(unsafe.Pointer(unsafe.SliceData(memory)))
	hi := lo + uintptr(len(memory))
	for _, r := range p.openRegions() {
		r.mu.Lock()
		if r.bytes == nil && slices.ContainsFunc(r.maps, func(m *mapping) bool { return m.Lo < hi && lo < m.Hi }) {
			list = append(list, r)
		}
		r.mu.Unlock()
	}
	return list
}
