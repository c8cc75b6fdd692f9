//go:build linux && (amd64 || arm64)

package profiler

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/plain"
	"golang.org/x/sys/unix"
)

// Region is a named range of memory whose first touches are observed. All methods are safe for
// concurrent use.
type Region struct {
	p      *Profiler
	id     RegionID
	name   string
	kind   Kind
	eng    *engine.Region
	config regionConfig
	file   *fileID // of a file

	// closed is written under mu. It is read without where another region's guard may be running: the
	// guard's owner may wait for us.
	closed atomic.Bool

	mu    sync.Mutex // guards what follows, and serialises changes to the region's mappings
	bytes []byte     // memory that the region owns
	maps  []*mapping
	// takenBy is what taken returns, or nil.
	takenBy []engine.AddrRange
	heap    *goHeap // of the Go heap

	share   float64  // that is to be observed
	chooser chooser  // of the blocks, once some are not observed; shift 0 before
	limit   uint64   // of the blocks that are observed
	hashes  []uint64 // of all blocks, ascending

	unmapped time.Duration // since when the file has no mapping, or 0
	lastSize int64
	complete time.Duration // when every mapping of the file was covered last, on the faults' clock
	longest  time.Duration // for which other threads were stopped
}

// mapping is one armed address range of a region.
type mapping struct {
	*engine.Target
	region  *Region // where it is a file's
	means   means
	prot    int
	latency time.Duration
	seen    []seenPiece   // at the last look
	asked   time.Duration // when the kernel was asked last of all of it
}

// ID returns the number of the region in snapshots.
func (r *Region) ID() RegionID { return r.id }

// Name returns the name of the region in every output.
func (r *Region) Name() string { return r.name }

// Bytes is the memory of an arena or a mapped file, valid until Close; nil for an attached file,
// whose memory belongs to other code.
func (r *Region) Bytes() []byte { return r.bytes }

// regionsMost bounds the regions that are open at once.
const regionsMost = 4096

// counted is a region whose totals the engine counts.
type counted struct {
	*RegionStats
	eng *engine.Region
}

// openRegions lists the regions that are open. The caller must not change the answer.
func (p *Profiler) openRegions() []*Region {
	p.regionMu.Lock()
	defer p.regionMu.Unlock()
	return p.regions
}

// setOpen changes the list of the regions that are open, which others may hold.
func (p *Profiler) setOpen(change func([]*Region) []*Region) {
	p.regionMu.Lock()
	defer p.regionMu.Unlock()
	p.regions = change(slices.Clone(p.regions))
}

// newRegion enters a region into the books, and holds its mu: others see it from now on. The caller holds p.mu.
func (p *Profiler) newRegion(name string, kind Kind, size int64, opts []RegionOption) (_ *Region, err error) {
	c := regionConfig{name: name, granule: p.config.granule}
	for _, o := range opts {
		if err := o.applyRegion(&c); err != nil {
			return nil, err
		}
	}
	c.granule = max(c.granule, unix.Getpagesize(), c.least)
	if c.name == "" {
		return nil, fmt.Errorf("%w: a region needs a name", ErrInvalid)
	}
	c.name = plain.Valid(c.name) // what it goes into has to be UTF-8, and one that is not would cost all of it
	c.group = plain.Valid(cmp.Or(c.group, c.name))
	if p.retired.Load() {
		return nil, fmt.Errorf("profiler: %w", ErrClosed)
	}
	open := p.openRegions()
	for _, o := range open {
		if o.name == c.name && !o.closed.Load() {
			return nil, fmt.Errorf("region %q: %w: choose another name or close the first", c.name, ErrRegistered)
		}
	}
	if len(open) >= regionsMost {
		p.note("%d regions are open: no other one is observed before one of them is closed", regionsMost)
		return nil, fmt.Errorf("region %q: %w: %d are open: close those that are not needed, share one among what is alike, or have a pattern match fewer files", c.name, ErrTooMany, regionsMost)
	}
	id := p.nextID // nobody else adds while p.mu is held
	// Without foldMu: the engine's lock is held while it tells of a new target, which takes foldMu.
	var eng *engine.Region
	if p.obs == nil {
		if eng, err = p.eng.NewRegion(uint32(id)); err != nil {
			return nil, err
		}
	} else if c.writes {
		return nil, fmt.Errorf("region %q: %w", c.name, p.onlyObserves("writes alone"))
	}
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	r := &Region{p: p, id: id, name: c.name, kind: kind, eng: eng, config: c, share: p.share, limit: allBlocks}
	stats := &RegionStats{ID: id, Name: c.name, Group: p.agg.groupOf(c.group), Kind: kind, Granule: c.granule, Size: size, Detached: true}
	p.agg.addRegion(stats)
	if eng != nil {
		p.counted = append(p.counted, counted{stats, eng})
	}
	p.nextID++
	r.mu.Lock()
	p.setOpen(func(list []*Region) []*Region { return append(list, r) })
	return r, nil
}

// forget takes a region that could not be armed out of the books again: no fault of it was seen. The caller holds p.mu.
func (p *Profiler) forget(r *Region) {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	p.agg.dropRegion(r.id)
	if r.id == p.nextID-1 {
		p.nextID = r.id
	}
	p.uncount(r)
	p.fold() // what it had is freed at once
}

// uncount takes a region out of those that are open. The caller holds foldMu.
func (p *Profiler) uncount(r *Region) {
	p.setOpen(func(list []*Region) []*Region { return slices.DeleteFunc(list, func(o *Region) bool { return o == r }) })
	if p.obs != nil {
		p.obs.unwatch(r.id)
		return
	}
	p.counted = slices.DeleteFunc(p.counted, func(c counted) bool { return c.eng == r.eng })
	p.eng.DropRegion(r.eng)
}

// retire ends the accounts of a region that is closed: its totals stay, what serves it is freed. The caller holds r.mu.
func (r *Region) retire() {
	p := r.p
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	stats := p.agg.byID[r.id]
	if r.eng != nil {
		p.take(stats, r.eng)
	}
	stats.Detached, stats.Mappings, stats.Mapped = true, nil, 0
	p.agg.event(engine.Now(), EventDetached, r.name, "plain memory again", 1)
	p.agg.ended(stats, p.binder.Head())
	p.uncount(r)
}

// update changes the region's entry in the books.
func (r *Region) update(f func(s *RegionStats)) {
	r.p.foldMu.Lock()
	defer r.p.foldMu.Unlock()
	if stats := r.p.agg.byID[r.id]; stats != nil { // else it is closed, and was added up
		f(stats)
	}
}

// know makes a target's records readable; before its first fault can be folded.
func (p *Profiler) know(g *engine.Target) {
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	p.targets[g.Number] = g
}

// publishMaps takes over the current mappings. The caller holds r.mu.
func (r *Region) publishMaps(fileSize int64) { r.publish(fileSize, func(*RegionStats) {}) }

// publish is publishMaps together with what no snapshot may have without the mappings.
func (r *Region) publish(fileSize int64, with func(s *RegionStats)) {
	var list []MappingStats
	var mapped, top int64
	for _, m := range r.maps {
		list = append(list, MappingStats{Start: m.Lo, End: m.Hi, Offset: m.Offset, Since: m.Since, Latency: m.latency})
		end := min(m.Offset+int64(m.Hi-m.Lo), fileSize)
		mapped += max(end-m.Offset, 0)
		top = max(top, end)
	}
	r.update(func(s *RegionStats) {
		if kind := EventAttached; mapped != s.Mapped {
			if mapped < s.Mapped {
				kind = EventDetached
			}
			r.p.agg.event(engine.Now(), kind, r.name, fmt.Sprintf("%d bytes in %d mappings are observed now", mapped, len(list)), 1)
		}
		s.Mappings, s.Mapped, s.Size, s.Detached = list, mapped, max(s.Size, top), r.closed.Load()
		with(s)
	})
	r.resized()
}

// Rearm arms the region again: what was touched is observed again at its next touch, and the
// contents stay. Private memory (arenas, AttachMemory) needs Linux 6.8 for it, ErrNotSupported otherwise.
func (r *Region) Rearm() error { return r.p.Rearm(r)[0] }

// Rearm arms several regions again, each as Region.Rearm does, and returns the error of each, nil where it is armed. The process's other
// threads are stopped together for all regions of files that have no guard, as rarely as fits.
func (p *Profiler) Rearm(regions ...*Region) []error {
	errs := make([]error, len(regions))
	p.Flush()
	var together []*rearming
	at := make(map[*Region]*rearming)
	for i, r := range regions {
		if r.isMemory() || r.guard() != nil || p.observes() {
			errs[i] = r.rearmAlone()
			continue
		}
		if at[r] == nil {
			at[r] = &rearming{Region: r, err: fmt.Errorf("region %q: %w", r.name, ErrClosed)}
		}
	}
	if len(at) == 0 {
		return errs
	}
	p.mu.Lock() // else who attaches several files may hold mu of one that is new, and wait for mu of one that is here
	for _, r := range p.openRegions() {
		if again := at[r]; again != nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			if !r.closed.Load() && !p.retired.Load() {
				again.err = nil
				together = append(together, again)
			}
		}
	}
	p.rearmTogether(together, nil)
	p.mu.Unlock()
	for i, r := range regions {
		if again := at[r]; again != nil {
			errs[i] = again.err
		}
	}
	return errs
}

// rearmAlone is Rearm for a region that shares no stop with others.
func (r *Region) rearmAlone() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed.Load() || r.p.retired.Load() {
		return fmt.Errorf("region %q: %w", r.name, ErrClosed)
	}
	if r.p.observes() {
		return fmt.Errorf("region %q: %w", r.name, r.p.onlyObserves("to arm it again"))
	}
	if r.isMemory() {
		r.begin()
		if r.heap != nil {
			return r.rearmHeap()
		}
		limit := r.wanted()
		if limit == 0 {
			return fmt.Errorf("region %q: %w", r.name, ErrPaused)
		}
		return r.rearmMemory(limit)
	}
	again := &rearming{Region: r}
	r.p.rearmTogether([]*rearming{again}, r.guard())
	return again.err
}

// rearming is a region of a file that is to be armed again.
type rearming struct {
	*Region
	err error // why it is not

	start time.Duration
	limit uint64 // of the blocks
	gone  bool   // a mapping is not what it was
	errs  []error
}

// rearmTogether arms regions of files again, in as few stops of the other threads as fit. The caller holds mu of each of them.
func (p *Profiler) rearmTogether(regions []*rearming, guard engine.Guard) {
	if len(regions) == 0 {
		return
	}
	list, err := p.readMaps()
	var locks locks
	if err == nil {
		locks, err = p.locks(func() ([]procMap, error) { return list, nil })
	}
	var again []engine.Rearming
	var of []*rearming
	covered, armedOf := make(map[*engine.Target]*mapping), make(map[*engine.Target]*rearming)
	for _, r := range regions {
		if r.err = err; err != nil {
			continue
		}
		if r.start, r.limit = engine.Now(), r.wanted(); r.limit == 0 {
			r.err = fmt.Errorf("region %q: %w", r.name, ErrPaused)
			continue
		}
		r.begin()
		for _, a := range r.renewals(list, &locks, covered) {
			armedOf[a.Target] = r
			again, of = append(again, a), append(of, r)
		}
	}
	if len(again) > 0 {
		p.eng.Begin(of[0].eng, len(again))
	}
	for i, err := range p.eng.Rearm(again, guard, func(done []*engine.Target, took time.Duration) {
		armed := make(map[*rearming][]*mapping)
		for _, g := range done {
			armed[armedOf[g]] = append(armed[armedOf[g]], covered[g])
		}
		for r, list := range armed {
			r.openHeld(list)
		}
	}) {
		if r := of[i]; errors.Is(err, engine.ErrGone) && r.kind == KindAttached {
			r.gone = true
		} else if err != nil {
			r.errs = append(r.errs, fmt.Errorf("region %q: %w", r.name, p.wrap(err)))
		}
	}
	for _, r := range regions {
		if r.err != nil {
			continue
		}
		if r.gone {
			// Its owner changed a mapping since the last look: what is there now is armed as new.
			r.errs = append(r.errs, r.lookNow())
		}
		if r.err = errors.Join(r.errs...); r.err == nil {
			r.rearmed()
			r.stepTo(r.limit, r.start)
			r.publishMaps(r.fileSize()) // they are armed since now
		}
	}
}

// renewals are what of the region the engine is to cover again, by a list of all mappings; covered is told of them. What is covered by other means it
// arms again itself. The caller holds r.mu.
func (r *rearming) renewals(list []procMap, locks *locks, covered map[*engine.Target]*mapping) (again []engine.Rearming) {
	for _, m := range r.maps {
		if r.leaves(m, list) {
			r.gone = true // lookNow gives it back
			continue
		}
		if m.means != byCover {
			err := engine.ErrGone
			if r.intact(m, list) {
				err = r.again(m, true)
			}
			if errors.Is(err, engine.ErrGone) {
				r.gone = true
			} else if err != nil {
				r.errs = append(r.errs, fmt.Errorf("region %q: %w", r.name, r.p.wrap(err)))
			}
			continue
		}
		r.given(m, list)
		prot, ok := m.rights(list)
		if !ok && r.kind == KindAttached && !r.intact(m, list) {
			r.gone = true
			continue
		}
		if !ok {
			r.errs = append(r.errs, fmt.Errorf("region %q: %w: parts of the mapping have different protection (mprotect)", r.name, ErrNotSupported))
			continue
		}
		m.prot, m.seen = prot, nil
		onFault, err := locks.file(m.Lo, m.Hi)
		if err != nil {
			r.errs = append(r.errs, fmt.Errorf("region %q: %w", r.name, err))
			continue
		}
		covered[m.Target] = m
		again = append(again, engine.Rearming{Target: m.Target, Sample: r.sample(r.limit), Prot: m.prot, OnFault: onFault})
	}
	return again
}

// rearmed counts that the region was armed again.
func (r *Region) rearmed() {
	r.update(func(s *RegionStats) {
		s.Rearms++
		r.p.agg.event(engine.Now(), EventRearmed, r.name, "", 1)
	})
}

// rights returns those that all of a mapping has, but for what has none because it is armed.
func (m *mapping) rights(list []procMap) (prot int, ok bool) {
	none := m.Rightless()
	for _, l := range between(list, m.Lo, m.Hi) {
		if none && l.prot == 0 {
			continue
		}
		if ok && l.prot != prot {
			return 0, false
		}
		prot, ok = l.prot, true
	}
	if none && !ok {
		return m.prot, true
	}
	return prot, ok
}

func (r *Region) guard() engine.Guard {
	if r.kind == KindMappedFile || r.kind == KindArena || r.kind == KindGoHeap {
		// The mapping is ours: nobody else unmaps it while r.mu is held. Go never unmaps its heap.
		return func(critical func()) error { critical(); return nil }
	}
	return engine.Guard(r.config.guard)
}

// Closed reports whether the region is closed, by Close or by itself, see AttachFile.
func (r *Region) Closed() bool { return r.closed.Load() }

// Close makes the region plain memory again and unmaps what it owns: the memory of an arena or a
// mapped file is gone after it. After an error (ErrBusy) the region is as it was and still served.
func (r *Region) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.detach(); err != nil {
		return err
	}
	if r.bytes != nil {
		if err := unmap(r.bytes); err != nil {
			return fmt.Errorf("region %q: unmap: %w", r.name, err)
		}
		r.bytes = nil
	}
	return nil
}

// detach makes the region plain memory again, with its contents. The caller holds r.mu.
func (r *Region) detach() error { return r.p.detachAll([]*Region{r}, r.guard()) }

// detachAll is detach for several regions, in as few stops of the other threads as fit. The caller holds mu of each of them.
func (p *Profiler) detachAll(regions []*Region, guard engine.Guard) error {
	var all []*dropping
	for _, r := range regions {
		if !r.closed.Load() {
			r.begin()
			all = append(all, &dropping{Region: r, list: r.maps})
		}
	}
	p.dropAll(all, guard)
	p.Flush()
	var errs []error
	for _, d := range all {
		if d.err != nil {
			errs = append(errs, fmt.Errorf("region %q: %w", d.name, d.err))
			continue
		}
		d.closed.Store(true)
		d.retire()
	}
	return errors.Join(errs...)
}

// dropping are mappings of a region that are to be plain again.
type dropping struct {
	*Region
	list []*mapping
	err  error // why not all of them are
}

// drop makes mappings plain again, up to the first one of which that fails. The caller holds r.mu.
func (r *Region) drop(list []*mapping) error {
	d := &dropping{Region: r, list: list}
	r.p.dropAll([]*dropping{d}, r.guard())
	return d.err
}

// dropAll is drop for several regions, in as few stops of the other threads as fit. The caller holds mu of each of them.
func (p *Profiler) dropAll(all []*dropping, guard engine.Guard) {
	if p.observes() {
		for _, d := range all {
			d.maps = nil // all of them: nothing was armed
		}
		return
	}
	gone := make(map[*engine.Target]bool)
	var covered []*engine.Target
	var of []*dropping
	for _, d := range all {
		for _, m := range d.list {
			if m.means == byCover || m.means == byAccess {
				continue
			}
			if d.err = d.release(m); d.err != nil {
				d.err = p.wrap(d.err)
				break
			}
			gone[m.Target] = true
		}
		if d.err != nil {
			continue
		}
		for _, m := range d.list {
			if m.means == byCover || m.means == byAccess {
				covered, of = append(covered, m.Target), append(of, d)
			}
		}
	}
	if len(covered) > 0 {
		p.eng.Begin(of[0].eng, len(covered))
		err := p.wrap(p.eng.Uncover(covered, guard, func(part []*engine.Target, _ time.Duration) {
			for _, g := range part {
				gone[g] = true
			}
		}))
		for i, g := range covered {
			if !gone[g] {
				of[i].err = err
			}
		}
	}
	for _, d := range all {
		d.maps, d.takenBy = slices.DeleteFunc(slices.Clone(d.maps), func(o *mapping) bool { return gone[o.Target] }), nil
	}
}

// wrap gives the engine's errors their public names, and notes which thread cannot be stopped. The caller does not hold
// foldMu.
func (p *Profiler) wrap(err error) error {
	var busy *engine.Busy
	switch {
	case errors.As(err, &busy):
		if busy.Signal != 0 {
			p.note("%v", busy)
		}
		return &BusyError{Thread: busy.Thread, Name: busy.Name, Signal: busy.Signal, RetryAfter: busy.Again, err: err}
	case errors.Is(err, engine.ErrBusy):
		return named{err, ErrBusy}
	case errors.Is(err, engine.ErrMaps), errors.Is(err, engine.ErrFull):
		return named{err, ErrTooMany}
	case errors.Is(err, engine.ErrSignalTaken):
		return named{err, ErrSignalTaken}
	}
	return err
}

// named is an error of the engine with its public name.
type named struct {
	error
	name error
}

func (n named) Is(target error) bool { return target == n.name }

func (n named) Unwrap() error { return n.error }

// begin begins an operation that may stop the other threads. The caller holds r.mu.
func (r *Region) begin() {
	if r.eng != nil {
		r.p.eng.Begin(r.eng, len(r.maps))
	}
}
