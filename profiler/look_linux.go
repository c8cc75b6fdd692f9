//go:build linux && (amd64 || arm64)

package profiler

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/pace"
	"golang.org/x/sys/unix"
)

// Look is one look at the mappings of the process: the list of them is read once for all regions, and for who looks for
// files.
type Look struct {
	p    *Profiler
	list []procMap
	at   time.Duration // when the list was asked for, on the faults' clock

	// before is when the look before this one was made, 0 where there was none, and had the files that were mapped then, by inode.
	before time.Duration
	had    map[uint64]bool

	inodes map[uint64][]procMap // see of
	kinds  map[uint64]string    // see fileSystemOf, by device
	mounts fileSystems          // nil until they were asked for
}

// fileSystemOf is the file system of a mapping: tmpfs, hugetlbfs, or another word.
func (l *Look) fileSystemOf(m *procMap) (kind string, err error) {
	if l.kinds == nil {
		l.kinds = make(map[uint64]string)
	}
	kind, ok := l.kinds[m.dev]
	if ok {
		return kind, nil
	}
	if kind, ok = kindAt(m); !ok {
		if l.mounts == nil {
			if l.mounts, err = readFileSystems(); err != nil {
				return "", err
			}
		}
		kind = l.mounts.of(m)
	}
	l.kinds[m.dev] = kind
	return kind, nil
}

// of lists the mappings of a file.
func (l *Look) of(id *fileID) (out []procMap) {
	if l.inodes == nil {
		l.inodes = make(map[uint64][]procMap)
		for _, m := range l.list {
			if m.inode != 0 {
				l.inodes[m.inode] = append(l.inodes[m.inode], m)
			}
		}
	}
	list := l.inodes[id.inode]
	for i := range list {
		if id.is(&list[i]) {
			out = append(out, list[i])
		}
	}
	return out
}

// newLook reads the list.
func (p *Profiler) newLook() (*Look, error) {
	now := engine.Now()
	list, err := p.readMaps()
	if err != nil {
		return nil, err
	}
	return &Look{p: p, list: list, at: now}, nil
}

// sightings are the looks of the loop. Only the loop uses them, and what attaches by its looks.
type sightings struct {
	last  time.Duration
	had   map[uint64]bool
	tried map[uint64]time.Duration // since when files may have been mapped that were found, and could not be attached yet; by inode
}

// triedMost bounds them.
const triedMost = 4096

// sighted says since when a file that is attached by the look may have been mapped; 0 is not known.
func (l *Look) sighted(id *fileID) time.Duration {
	if l.before == 0 { // it is none of the loop's, or the first one
		return 0
	}
	if since, ok := l.p.sightings.tried[id.inode]; ok {
		return since
	}
	if l.had[id.inode] {
		return 0
	}
	return l.before
}

// failed remembers that for the next try, and forgetFailed forgets it.
func (l *Look) failed(id *fileID) {
	if s := &l.p.sightings; l.before != 0 && len(s.tried) < triedMost {
		s.tried[id.inode] = l.sighted(id)
	}
}

func (l *Look) forgetFailed(id *fileID) {
	if l.before != 0 {
		delete(l.p.sightings.tried, id.inode)
	}
}

// sight remembers what a look of the loop has seen.
func (p *Profiler) sight(l *Look) {
	s := &p.sightings
	l.before, l.had = s.last, s.had
	s.last, s.had = l.at, make(map[uint64]bool)
	for i := range l.list {
		if m := &l.list[i]; m.inode != 0 {
			s.had[m.inode] = true
		}
	}
	for inode := range s.tried {
		if !s.had[inode] {
			delete(s.tried, inode) // it is gone
		}
	}
}

// pacing is how often the loop could look.
type pacing struct {
	mu    sync.Mutex
	at    time.Time
	every time.Duration // smoothed
	looks uint64
}

// Looks tells how many looks at the mappings there were, and how often lately one was made, or it was found that none was due:
// that is how late a new mapping may be found. It is longer than WithRescan says where looks are dear, or the processors are busy.
func (p *Profiler) Looks() (n uint64, every time.Duration) {
	p.pacing.mu.Lock()
	defer p.pacing.mu.Unlock()
	return p.pacing.looks, p.pacing.every
}

func (p *Profiler) paced(looked bool) {
	p.pacing.mu.Lock()
	defer p.pacing.mu.Unlock()
	now := time.Now()
	if !p.pacing.at.IsZero() {
		p.pacing.every += (now.Sub(p.pacing.at) - p.pacing.every) / 4
	}
	p.pacing.at = now
	if looked {
		p.pacing.looks++
	}
}

// Files are those that are mapped.
func (l *Look) Files() map[MappedFile]MappedAs {
	files := make(map[MappedFile]MappedAs)
	for i := 0; i < len(l.list); {
		m := &l.list[i]
		same, as := *m, MappedAs{}
		for ; i < len(l.list); i++ { // most have their mappings side by side
			m = &l.list[i]
			if m.inode != same.inode || m.dev != same.dev || m.path != same.path {
				break
			}
			writable := m.prot&unix.PROT_WRITE != 0
			as = MappedAs{as.Code || m.prot&unix.PROT_EXEC != 0, as.Writable || m.shared && writable, as.Readable || m.shared && !writable}
		}
		if !strings.HasPrefix(same.path, "/") || engine.IsPlaceholder(same.path, same.offset, same.lo) {
			continue
		}
		// The one escape of the list is that of the newline (seq_path with "\n").
		f := MappedFile{strings.ReplaceAll(same.path, `\012`, "\n"), same.dev, same.inode}
		have := files[f]
		files[f] = MappedAs{have.Code || as.Code, have.Writable || as.Writable, have.Readable || as.Readable}
	}
	return files
}

// Watch has f called with each look, after the regions had theirs, and makes a first one due now. Looks come every so often
// (WithRescan), one at a time; f may attach what it finds with the look's AttachFile. There is one f.
func (p *Profiler) Watch(f func(*Look)) {
	p.mu.Lock()
	p.finder = f
	p.mu.Unlock()
	select {
	case p.due <- struct{}{}:
	default: // one is due already
	}
}

// Look waits until the mappings have been looked at once more, from now on, and what was found is observed. A service calls it
// where it has mapped what is about to be touched. It must not be called within a guard, nor by the function of Watch.
func (p *Profiler) Look(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case p.asked <- done:
	case <-p.stop:
		return fmt.Errorf("profiler: %w", ErrClosed)
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-p.ended:
		return fmt.Errorf("profiler: %w", ErrClosed)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lookLoop looks for mappings that came, moved or went.
func (p *Profiler) lookLoop() {
	defer close(p.ended)
	pace := pace.New(p.config.rescan)
	next := time.NewTimer(p.config.rescan)
	defer next.Stop()
	for {
		due := false
		var done chan struct{}
		select {
		case <-p.stop:
			return
		case <-next.C:
			due = pace.Due()
		case <-p.due:
			due = true
		case done = <-p.asked:
			due = true
		}
		if p.observes() {
			// it has no handler
		} else if sig, owner := p.eng.BusReplaced(); sig != "" {
			p.note("the handler of %s was taken by %s: unless it passes on what it does not know, the next first touch ends the process", sig, owner)
		}
		p.paced(due)
		if due {
			pace.Look(p.look)
		}
		if done != nil {
			close(done)
		}
		next.Reset(pace.Wait())
	}
}

// look looks once.
func (p *Profiler) look() {
	p.mu.Lock()
	finder := p.finder
	p.mu.Unlock()
	var memory []*Region // whose pages may be moved aside
	changing := finder != nil
	for _, r := range p.openRegions() {
		if r.closed.Load() {
			continue
		}
		if r.isMemory() {
			memory = append(memory, r)
		}
		if !r.isMemory() || r.kind == KindGoHeap { // other code changes its mappings
			changing = true
		}
	}
	if p.observes() {
		memory = nil
		at := engine.Now()
		defer func() { p.obs.looked(at) }()
	}
	if err := p.keepLocked(memory); err != nil {
		p.note("pages that are moved aside are not locked: %v", err)
	}
	if !changing {
		return
	}
	l, err := p.newLook()
	if err != nil {
		p.note("mappings are not looked for: %v", err)
		return
	}
	p.sight(l)
	noteOf := func(r *Region, err error) {
		if err != nil {
			p.note("region %s: %v", r.name, err)
		}
	}
	together, _ := p.lockTogether(func(r *Region) error {
		switch {
		case r.kind == KindAttached:
			noteOf(r, r.lookAlone(l))
		case r.kind == KindGoHeap && !p.retired.Load():
			noteOf(r, r.lookHeap(l.list, l.at))
		}
		return nil
	})
	var due []*Region
	for _, r := range together {
		yes, err := r.due(l)
		if noteOf(r, err); yes {
			due = append(due, r)
		}
	}
	for i, err := range p.lookAll(l, due, nil) {
		noteOf(due[i], err)
	}
	unlock(together)
	if finder != nil && !p.retired.Load() {
		finder(l)
	}
}

// lookAlone looks at a file's region by itself. The caller holds r.mu.
func (r *Region) lookAlone(l *Look) error {
	yes, err := r.due(l)
	if yes {
		err = r.look(l)
	}
	return err
}

// lockTogether locks the open regions of files that have no guard, so that they can be changed together, and returns them. Those of
// all others are locked one after the other for alone, and before: a guard's owner may wait for who holds another region's mu.
func (p *Profiler) lockTogether(alone func(*Region) error) (together []*Region, errs []error) {
	open := p.openRegions()
	for _, r := range open {
		if r.kind == KindAttached && r.config.guard == nil {
			continue
		}
		r.mu.Lock()
		if !r.closed.Load() {
			errs = append(errs, alone(r))
		}
		r.mu.Unlock()
	}
	for _, r := range open {
		if r.kind != KindAttached || r.config.guard != nil {
			continue
		}
		if r.mu.Lock(); r.closed.Load() {
			r.mu.Unlock()
			continue
		}
		together = append(together, r)
	}
	return together, errs
}

func unlock(regions []*Region) {
	for _, r := range regions {
		r.mu.Unlock()
	}
}
