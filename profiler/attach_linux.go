//go:build linux && (amd64 || arm64)

package profiler

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/firsttouch/firsttouch/internal/engine"
	"golang.org/x/sys/unix"
)

// AttachFile observes the shared mappings that other code in this process has of a file: on a disk, on tmpfs
// or hugetlbfs, or a memfd, which /proc/self/fd/N names. It finds those that exist now, and those that it makes later, which are looked for every so often (WithRescan). Their
// contents, coherence, record locks and madvise flags stay as they are, and after the first touch
// a page costs what it did. Without WithGuard the process's other threads are stopped for some
// hundred microseconds whenever a mapping is covered or given back.
//
// When no mapping exists yet the error is ErrNotMapped. When none exists any more, and the file was deleted, renamed or replaced
// as well, the region is closed after ten seconds; UntilUnmapped closes it sooner.
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
	regions, errs := l.attachFiles([]FoundFile{{path, opts}})
	return regions[0], errs[0]
}

// AttachFile is that of the profiler, for what the look has seen.
func (l *Look) AttachFile(path string, opts ...RegionOption) (*Region, error) {
	regions, errs := l.AttachFiles([]FoundFile{{path, opts}})
	return regions[0], errs[0]
}

// AttachFiles is AttachFile for several files: the process's other threads are stopped as rarely as fits. The answers are in the
// order of the files: a region, or why there is none.
func (l *Look) AttachFiles(files []FoundFile) ([]*Region, []error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	return l.attachFiles(files)
}

// attachFiles is called with the profiler's mu held.
func (l *Look) attachFiles(files []FoundFile) (regions []*Region, errs []error) {
	regions, errs = make([]*Region, len(files)), make([]error, len(files))
	for i, f := range files {
		if l.p.retired.Load() {
			errs[i] = fmt.Errorf("attach file %s: profiler: %w", f.Path, ErrClosed)
			continue
		}
		regions[i], errs[i] = l.begin(f.Path, f.Options, regions[:i])
	}
	var together []*Region
	var of []int
	for i, r := range regions {
		switch {
		case r == nil:
		case r.guard() == nil:
			together, of = append(together, r), append(of, i)
		default:
			errs[i] = r.look(l)
		}
	}
	for i, err := range l.p.lookAll(l, together, nil) {
		errs[of[i]] = err
	}
	for i := range slices.Backward(regions) { // so that the numbers of those that are forgotten are free again
		if regions[i] != nil {
			regions[i], errs[i] = l.attached(files[i].Path, regions[i], errs[i])
		}
	}
	return regions, errs
}

// begin enters a region of a file, whose mu it holds, beside others that were just entered. The caller holds the profiler's mu.
func (l *Look) begin(path string, opts []RegionOption, beside []*Region) (*Region, error) {
	p := l.p
	id, info, err := identify(path)
	if err != nil {
		return nil, fmt.Errorf("attach file: %w", err)
	}
	if err := p.giveWay(id, beside); err != nil {
		return nil, fmt.Errorf("attach file %s: %w", path, err)
	}
	// A mapping of MapFile is not other code's.
	if o := p.regionOf(id, KindAttached, KindMappedFile); o != nil {
		return nil, fmt.Errorf("attach file %s: %w as region %q: close that first", path, ErrRegistered, o.name)
	}
	first := slices.IndexFunc(l.list, func(m procMap) bool { return id.is(&m) })
	if first < 0 {
		return nil, fmt.Errorf("attach file %s: %w in this process: map it first, or try again later", path, ErrNotMapped)
	}
	fs, err := l.fileSystemOf(&l.list[first])
	if err != nil {
		return nil, fmt.Errorf("attach file: %w", err)
	}
	if fs == hugetlbfs {
		opts = append(slices.Clone(opts), withLeastGranule(p.probe(&l.list[first], hugetlbfs).page))
	}
	r, err := p.newRegion(path, KindAttached, info.Size(), opts)
	if err != nil {
		return nil, err
	}
	r.file = id
	if r.eng != nil {
		r.eng.KnowFile(id.path, id.dev, id.inode)
	}
	r.complete = l.sighted(id)
	return r, nil
}

// attached ends that, with the error of the region's first look. The caller holds the profiler's mu.
func (l *Look) attached(path string, r *Region, err error) (*Region, error) {
	defer r.mu.Unlock()
	if err == nil && len(r.maps) == 0 && r.config.leave {
		err = fmt.Errorf("%w but to be written to, which WithoutWritableMappings leaves alone", ErrNotMapped)
	} else if err != nil && len(r.maps) == 0 {
		l.failed(r.file)
	}
	if err != nil && len(r.maps) == 0 {
		r.closed.Store(true)
		l.p.forget(r)
		return nil, fmt.Errorf("attach file %s: %w", path, err)
	}
	l.forgetFailed(r.file)
	l.p.noteOwners(r)
	return r, nil
}

// regionOf returns the region that observes a file, if it is of one of the kinds. The caller holds
// p.mu.
func (p *Profiler) regionOf(id *fileID, kinds ...Kind) *Region {
	for _, r := range p.openRegions() {
		if slices.Contains(kinds, r.kind) && r.file.inode == id.inode && r.file.dev == id.dev && !r.closed.Load() {
			return r
		}
	}
	return nil
}

// lookNow looks at the mappings as they are. The caller holds r.mu.
func (r *Region) lookNow() error {
	for _, m := range r.maps {
		m.seen = nil
	}
	l, err := r.p.newLook()
	if err != nil {
		return err
	}
	return r.look(l)
}

// look compares the mappings of the region's file with what is armed: what is gone is forgotten,
// what is new is covered. The caller holds r.mu.
func (r *Region) look(l *Look) error { return r.p.lookAll(l, []*Region{r}, r.guard())[0] }

// visit is what a look finds of a region.
type visit struct {
	going   dropping
	coming  coming
	l       *Look
	changed bool
	over    bool // the region is closed
}

// lookAll is look for several regions, in as few stops of the other threads as fit: the errors are in their order. The caller holds
// mu of each of them.
func (p *Profiler) lookAll(l *Look, regions []*Region, guard engine.Guard) []error {
	errs := make([]error, len(regions))
	if p.observes() {
		for i, r := range regions {
			errs[i] = r.seeFile(l)
		}
		return errs
	}
	var maps []*mapping
	for _, r := range regions {
		maps = append(maps, r.maps...)
	}
	lost := make(map[*mapping]bool)
	for _, m := range p.notIntact(maps, l.list) {
		lost[m] = true
	}
	visits := make([]*visit, len(regions))
	var drops []*dropping
	for i, r := range regions {
		v := &visit{l: l, going: dropping{Region: r}, coming: coming{Region: r, all: true}, changed: len(r.maps) == 0}
		for _, m := range r.maps {
			switch {
			case lost[m] || r.leaves(m, l.list):
				v.going.list = append(v.going.list, m)
			case m.Rightless():
				r.given(m, l.list)
			}
		}
		if visits[i] = v; len(v.going.list) > 0 {
			v.changed, drops = true, append(drops, &v.going)
		}
	}
	if len(drops) > 0 {
		p.dropAll(drops, guard)
		// What is left of them is to be seen as it is now.
		fresh, err := p.newLook()
		if err == nil {
			fresh.at = l.at
		}
		for _, v := range visits {
			if len(v.going.list) > 0 && err == nil {
				v.l = fresh
			} else if len(v.going.list) > 0 {
				v.going.err = errors.Join(v.going.err, err)
			}
		}
	}
	var all []*coming
	for i, r := range regions {
		v := visits[i]
		if p.retired.Load() {
			continue
		}
		list := r.uncovered(v.l.of(r.file))
		if len(list) > 0 && r.file.taken(strings.TrimSuffix(list[0].path, " (deleted)")) {
			v.over, errs[i] = true, r.detach()
			continue
		}
		r.expect(list)
		v.changed = v.changed || len(list) > 0
		v.coming.list, all = list, append(all, &v.coming)
	}
	p.coverAll(l, all, guard)
	for i, r := range regions {
		v := visits[i]
		errs[i] = errors.Join(append([]error{errs[i], v.going.err}, v.coming.errs...)...)
		if v.over {
			continue
		}
		if v.coming.all {
			r.complete = l.at
		}
		if size := r.fileSize(); v.changed || size != r.lastSize {
			r.lastSize = size
			r.publishMaps(size)
		}
	}
	return errs
}

// uncovered is what of the mappings of the file is not armed, less the engine's own duplicates.
func (r *Region) uncovered(list []procMap) (out []procMap) {
	var want []procMap
	for _, m := range list {
		// Without access is what the engine made so, and its owner has moved since; and what nobody can touch.
		if m.prot == 0 && (!m.shared || r.p.config.delivery == DeliverySignal) {
			continue
		}
		if r.config.leave && m.shared && m.prot&unix.PROT_WRITE != 0 {
			r.noteLeft()
			continue
		}
		want = append(want, m)
	}
	taken := r.taken()
	for _, m := range want {
		for len(taken) > 0 && taken[0].Hi <= m.lo {
			taken = taken[1:]
		}
		rest := []procMap{m}
		for _, t := range taken {
			if t.Lo >= m.hi {
				break
			}
			rest = without(rest, t.Lo, t.Hi)
		}
		out = append(out, rest...)
	}
	return out
}

// taken is where mappings are armed and the engine has its own duplicates, by address.
func (r *Region) taken() []engine.AddrRange {
	if r.takenBy == nil {
		r.takenBy = make([]engine.AddrRange, 0, 2*len(r.maps))
		for _, o := range r.maps {
			r.takenBy = append(r.takenBy, engine.AddrRange{Lo: o.Lo, Hi: o.Hi})
			if a := o.Alias(); a != 0 {
				r.takenBy = append(r.takenBy, engine.AddrRange{Lo: a, Hi: a + (o.Hi - o.Lo)})
			}
		}
		slices.SortFunc(r.takenBy, func(a, b engine.AddrRange) int { return cmp.Compare(a.Lo, b.Lo) })
	}
	return r.takenBy
}

// leaves reports whether a mapping has become one that is to be left alone. The caller holds r.mu.
func (r *Region) leaves(m *mapping, list []procMap) bool {
	if !r.config.leave || !slices.ContainsFunc(between(list, m.Lo, m.Hi), func(l procMap) bool { return l.prot&unix.PROT_WRITE != 0 }) {
		return false
	}
	r.noteLeft()
	return true
}

func (r *Region) noteLeft() {
	r.p.note("region %s: mappings that can be written to are left alone (WithoutWritableMappings), since a system call on a mutex there would fail; the agent observes them where it is given the path without *?[", r.name)
}

// given notes what the owner of a mapping has given access to (mprotect) before it was touched: it cannot be seen when
// it is. The list may be older than the last arming, so what it shows counts only when a fresh one shows it too. The
// caller holds r.mu.
func (r *Region) given(m *mapping, list []procMap) {
	accessible := func(list []procMap, f func(lo, hi uintptr) int) (n int) {
		for _, l := range between(list, m.Lo, m.Hi) {
			if l.prot != 0 {
				n += f(max(l.lo, m.Lo), min(l.hi, m.Hi))
			}
		}
		return n
	}
	if !m.Rightless() || accessible(list, func(lo, hi uintptr) int { return m.Census(lo, hi).Armed }) == 0 {
		return
	}
	fresh, err := r.p.readMaps()
	if err == nil && accessible(fresh, m.Given) > 0 {
		r.p.note("region %s: its owner has changed the rights of a mapping (mprotect) that was armed: what was not touched there is observed again once it is armed again", r.name)
	}
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
