//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
	"golang.org/x/sys/unix"
)

// means is how the touches of a mapping become faults.
type means uint8

const (
	byCover   means = iota // a placeholder lies over the mapping of a file, or its access is taken away
	byAccess               // private memory: its access is taken away
	byMove                 // private memory: its pages are moved aside
	byShare                // shared memory: its page tables are dropped
	byProtect              // writes alone: it is write-protected
	byEye                  // none is armed: see DeliveryObserve
)

// piece is a part of a mapping that is to be observed in one way.
type piece struct {
	procMap
	means means
	page  uintptr // size of its pages
}

// observe arms a piece of memory whose contents stay where they are. offset is that of the region. The
// caller holds r.mu.
func (r *Region) observe(p piece, offset int64) (*mapping, time.Duration, error) {
	m := engine.Shared{
		Lo: p.lo, Hi: p.hi, Offset: offset, FileOffset: p.offset, Dev: p.dev, Inode: p.inode,
		Page: p.page, Writes: p.means == byProtect,
	}
	have := r.p.eng.HaveShared(p.page > uintptr(unix.Getpagesize()))
	if m.Writes {
		have = r.p.eng.HaveWrites()
	}
	if have != nil {
		return nil, 0, have
	}
	g, err := r.p.eng.AddShared(r.eng, m, uintptr(r.config.granule), r.p.know)
	if errors.Is(err, unix.EPERM) {
		return nil, 0, fmt.Errorf("%w: the mapping may not become writable, which the kernel asks for: open its file for writing: %w", ErrNotSupported, err)
	}
	if err != nil {
		return nil, 0, err
	}
	took, err := r.p.eng.ArmShared(g, r.guard())
	r.longest = max(r.longest, took)
	if err != nil {
		return nil, took, errors.Join(err, r.p.eng.ReleaseShared(g))
	}
	armed := &mapping{Target: g, means: p.means, prot: p.prot}
	r.openHeld([]*mapping{armed})
	return armed, took, nil
}

// again arms a mapping again that no placeholder covers. The caller holds r.mu.
func (r *Region) again(m *mapping, lockedAny bool) error {
	var took time.Duration
	err := error(nil)
	if lockedAny && m.means != byProtect { // which leaves the pages in place
		err = r.p.locked(m.Lo, m.Hi)
	}
	switch {
	case err != nil:
		return err
	case m.means == byAccess:
		return r.accessAgain(m)
	case m.means == byMove:
		took, err = r.p.eng.RearmMemory(m.Target, r.guard())
	default:
		took, err = r.p.eng.ArmShared(m.Target, r.guard())
	}
	r.openHeld([]*mapping{m})
	r.longest = max(r.longest, took)
	return err
}

// release gives a mapping that no placeholder covers back in the way that it was armed.
func (r *Region) release(m *mapping) (err error) {
	if m.means != byMove {
		return r.p.eng.ReleaseShared(m.Target)
	}
	// What is at home already goes with the rest, so that no trace of its blocks is left.
	if m.Sampled() && m.Layered() {
		err = r.p.eng.ArmMore(m.Target, engine.Sample{}, r.mine())
	}
	return errors.Join(err, r.p.eng.ReleaseMemory(m.Target, r.guard()))
}

// takeAccess observes private memory by its access. The caller holds r.mu.
func (r *Region) takeAccess(p piece, offset int64) error {
	armed := &mapping{means: byAccess, prot: p.prot}
	f := engine.File{
		Region: r.eng, Granule: uintptr(r.config.granule), Sample: r.sample(r.limit),
		Lo: p.lo, Hi: p.hi, Offset: offset, Prot: p.prot, Private: true,
	}
	c := r.p.eng.Cover([]engine.File{f}, r.p.know, r.guard(), func(done []*engine.Target, took time.Duration) {
		armed.Target = done[0]
		r.openHeld([]*mapping{armed})
		r.longest = max(r.longest, took)
	})[0]
	if c.Target != nil { // also where only a part of it could be armed
		armed.Target = c.Target
		r.maps = append(r.maps, armed)
	}
	return c.Err
}

// accessAgain arms memory again by its access. The caller holds r.mu.
func (r *Region) accessAgain(m *mapping) error {
	list, err := r.p.readMaps()
	if err != nil {
		return err
	}
	prot, ok := m.rights(list)
	if !ok {
		return fmt.Errorf("%w: parts of it have different protection (mprotect)", ErrNotSupported)
	}
	r.given(m, list)
	m.prot = prot
	return r.p.eng.Rearm([]engine.Rearming{{Target: m.Target, Sample: r.sample(r.wanted()), Prot: prot}}, r.guard(), func(_ []*engine.Target, took time.Duration) {
		r.openHeld([]*mapping{m})
		r.longest = max(r.longest, took)
	})[0]
}
