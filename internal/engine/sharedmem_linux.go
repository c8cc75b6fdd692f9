//go:build linux && (amd64 || arm64)

package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/firsttouch/firsttouch/internal/procmaps"
	"github.com/firsttouch/firsttouch/uffd"
)

// Shared memory (shmem, memfd, files of tmpfs and hugetlbfs) has its contents in an object apart from the
// mapping. It is armed by dropping its page tables, which loses nothing. The next touch of a page that the
// object has is a MINOR fault, and UFFDIO_CONTINUE maps that page; where the object has a hole it is a
// MISSING fault, and the object gets the page that the kernel would have given it.
//
// Any memory can also be observed for writes alone: it is write-protected, and a WP fault takes the
// protection of the granule away. That moves and drops nothing.

// Shared is a piece of memory that AddShared is to observe.
type Shared struct {
	Lo, Hi     uintptr
	Offset     int64  // region offset of Lo
	FileOffset int64  // of Lo, as /proc/self/maps shows it
	Dev, Inode uint64 // Dev is major<<32 | minor; 0 for private anonymous memory
	Page       uintptr
	Writes     bool // observe writes alone; otherwise every touch, which only shared memory allows
}

// HaveShared reports whether shared memory can be armed with its contents.
func (e *Engine) HaveShared(huge bool) error {
	if e.s.signals {
		return errBySignal
	}
	kind, want := "shared memory", uffd.FeatureMissingShmem|uffd.FeatureMinorShmem
	if huge {
		kind, want = "huge pages", uffd.FeatureMissingHugetlbfs|uffd.FeatureMinorHugetlbfs
	}
	if !e.offers.Has(want) {
		return fmt.Errorf("%w: arming %s with their contents needs MINOR faults (Linux 5.14): this kernel does not offer %v", uffd.ErrNotSupported, kind, want&^e.offers)
	}
	return nil
}

// errBySignal is why neither can be with delivery by signal.
var errBySignal = fmt.Errorf("%w: by signal only arenas, private memory and files are observed, and not writes alone: deliver by thread", uffd.ErrNotSupported)

// HaveWrites reports whether writes alone can be observed.
func (e *Engine) HaveWrites() error {
	if e.s.signals {
		return errBySignal
	}
	if !e.offers.Has(writesFeatures) {
		return fmt.Errorf("%w: observing writes alone needs Linux 6.4: this kernel does not offer %v", uffd.ErrNotSupported, writesFeatures&^e.offers)
	}
	return nil
}

// writesFeatures are what the descriptor for memory needs to protect pages that are not there yet, of
// every kind of memory.
const writesFeatures = uffd.FeaturePagefaultFlagWP | uffd.FeatureWPHugetlbfsShmem | uffd.FeatureWPUnpopulated

// AddShared registers memory that somebody else has mapped. Until ArmShared only holes and, where it is
// registered for writes, nothing at all is observed.
func (e *Engine) AddShared(r *Region, m Shared, granule uintptr, know func(*Target)) (*Target, error) {
	if e.s.signals {
		return nil, errBySignal
	}
	if m.Page > zerosLen {
		return nil, fmt.Errorf("%w: huge pages of %d bytes: only those up to %d can be filled", uffd.ErrNotSupported, m.Page, zerosLen)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	g, err := e.newTarget(r, m.Lo, m.Hi, granule, m.Offset, 0)
	if err != nil {
		return nil, err
	}
	g.dev, g.inode = m.Dev, m.Inode
	g.t.offset, g.t.page = m.FileOffset, m.Page
	mode := uffd.ModeMissing | uffd.ModeMinor
	g.t.kind, g.t.uffd = kindShared, e.s.overlayFD
	if m.Writes {
		mode = uffd.ModeWP
		g.t.kind, g.t.uffd = kindWrites, e.s.arenaFD
		if m.Inode == 0 {
			g.t.flags |= tgAnonymous
		}
	}
	know(g)
	e.insert(g)
	g.Since = Now()
	if _, err := e.fdOf(g).Register(uffd.Range{Start: uffd.Addr(m.Lo), End: uffd.Addr(m.Hi)}, mode); err != nil {
		e.remove(g)
		return nil, err
	}
	return g, nil
}

// Observes reports whether a target of AddShared lies in [lo, hi) and is of the same object.
func (e *Engine) Observes(lo, hi uintptr, dev, inode uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.targets, func(g *Target) bool {
		return g.t.kind >= kindShared && g.Lo < hi && lo < g.Hi && g.dev == dev && g.inode == inode
	})
}

// fdOf is the descriptor that a target is registered with.
func (e *Engine) fdOf(g *Target) descriptor { return descriptor{e, g.t.uffd} }

// ArmShared arms a target of AddShared, contents and all, in slices. took is the longest time for which its
// touchers were stopped at once. What drops page tables must not meet a mapping of somebody else: either a
// guard holds the mappings, or the process's other threads are parked. Write protection finds
// registered memory only, and needs neither.
func (e *Engine) ArmShared(g *Target, guard Guard) (took time.Duration, err error) {
	op := uint32(opDrop)
	if g.t.kind == kindWrites {
		op, guard = opProtect, ours
	} else if err := e.mayContinue(); err != nil {
		return 0, err
	}
	armed := false
	for cursor := uintptr(0); ; {
		var c command
		_, err := e.commandWith(op, g, cursor, guard, func(answer *command) { c = *answer })
		if took = max(took, time.Duration(c.took)); err != nil {
			return took, err
		}
		armed = armed || c.holes == 0
		if cursor = c.cover; cursor == 0 {
			g.Since = time.Duration(c.armed)
			break
		}
	}
	if !armed {
		return took, ErrGone
	}
	return took, nil
}

// releaseTries bounds how often the pieces of a target are listed anew because their owner changed them
// meanwhile.
const releaseTries = 8

// ReleaseShared gives a target back: it is what it would have been without us.
func (e *Engine) ReleaseShared(g *Target) error {
	e.op.Lock() // no placeholder comes into place meanwhile
	defer e.op.Unlock()
	var errs []error
	for range releaseTries {
		if errs = nil; e.isOver() {
			break
		}
		pieces, err := e.pieces(g)
		if err != nil {
			return err
		}
		for _, p := range pieces {
			errs = append(errs, e.fdOf(g).Unregister(p))
		}
		if errors.Join(errs...) == nil {
			break
		}
	}
	if err := errors.Join(errs...); err != nil && !e.givenBack() {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settleReaders()
	e.remove(g)
	return nil
}

// pieces lists the mappings in a target that can be its own; none when a newer target has taken its
// place.
func (e *Engine) pieces(g *Target) (out []uffd.Range, err error) {
	e.mu.Lock()
	current := slices.Contains(e.targets, g)
	e.mu.Unlock()
	if !current {
		return nil, nil
	}
	err = e.Maps(func(text []byte) error {
		for l := range procmaps.Lines(text) {
			lo, hi := max(l.Lo, g.Lo), min(l.Hi, g.Hi)
			if lo < hi && l.Inode == g.inode && (g.inode == 0 || l.Dev == g.dev) {
				out = append(out, uffd.Range{Start: uffd.Addr(lo), End: uffd.Addr(hi)})
			}
		}
		return nil
	})
	return out, err
}
