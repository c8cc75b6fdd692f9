//go:build linux && (amd64 || arm64)

package engine

import (
	"cmp"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/calls"
	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// Private anonymous memory is armed with its contents by one mremap, which leaves the mapping where
// it is and takes its page tables to a shadow of the same size: MREMAP_DONTUNMAP. The next touch of
// a page then faults, and UFFDIO_MOVE brings the page back without a copy. What is in no shadow is
// new memory and is filled.
//
// A target has at most two shadows, its layers: the old one, which holds what was not touched for
// longer, and the young one, which the last arming made and which is merged into the old one in the
// background. A page is in one place at any time: in the target, or in one of the layers; and it
// only ever goes from the target to the young layer, from there to the old one, and back to the
// target. So who looks into the young one first and the old one next misses no page.

// memoryFeatures are those of the descriptor for memory. REMOVE: what the owner discards must not
// come back from a layer. REMAP: contents follow where the owner moves its mapping; and mremap
// moves whole page tables at once only where it is asked for (vma_has_uffd_without_event_remap,
// mm/mremap.c).
const memoryFeatures = uffd.FeatureEventRemap | uffd.FeatureEventRemove

// memoryOptional are enabled where the kernel has them; what needs them says so.
const memoryOptional = uffd.FeatureMove | writesFeatures

// openMemory opens the descriptors for memory and for the layers. The layers' has no events: the
// engine itself moves and discards what is registered there. And nobody reads it: who has the kernel fill all memory
// (mlockall) must neither wait there nor fill a layer, so it gets SIGBUS there, over which mm_populate goes on.
func openMemory(base uffd.Features) (memory, layers *uffd.FD, err error) {
	memory, err = uffd.Open(uffd.WithFeatures(base|memoryFeatures), uffd.WithOptionalFeatures(memoryOptional), uffd.WithNonblock())
	if err != nil {
		return nil, nil, err
	}
	layers, err = uffd.Open(uffd.WithFeatures(uffd.FeatureSigbus), uffd.WithOptionalFeatures(uffd.FeatureMove), uffd.WithNonblock())
	return memory, layers, err
}

// prepareMemory sets up what the hot path needs for the layers.
func (e *Engine) prepareMemory() error {
	s := e.s
	if s.without {
		return nil
	}
	for _, p := range e.workers {
		w := at[worker](p)
		var err error
		if w.scratch, _, err = raw.Map(s.pageSize, unix.PROT_NONE); err != nil {
			return fmt.Errorf("map a page for the engine: %w", err)
		}
		e.mem = append([]offHeap{{w.scratch, s.pageSize}}, e.mem...)
		r := uffd.Range{Start: uffd.Addr(w.scratch), End: uffd.Addr(w.scratch + s.pageSize)}
		if _, err := e.opened.layers.Register(r, uffd.ModeMissing); err != nil {
			return err
		}
		if _, _, n := unix.Syscall(unix.SYS_MPROTECT, w.scratch, s.pageSize, unix.PROT_READ|unix.PROT_WRITE); n != 0 {
			return fmt.Errorf("mprotect: %w", n)
		}
	}
	return nil
}

// HaveRearm reports whether private anonymous memory can be armed with its contents.
func (e *Engine) HaveRearm() error {
	e.op.Lock()
	defer e.op.Unlock()
	if e.rearmKnown {
		return e.rearmErr
	}
	err := uffd.HaveIoctl(uffd.IoctlMove)
	if err == nil {
		err = haveScan()
	}
	if err != nil {
		err = fmt.Errorf("arming private memory that holds something needs UFFDIO_MOVE and PAGEMAP_SCAN (Linux 6.8): %w",
			calls.Missing(err, calls.Refused(nil)))
	}
	e.rearmKnown, e.rearmErr = true, err
	return err
}

// AddMemory registers [lo, hi), private anonymous memory of somebody else that may hold something.
// Until RearmMemory only what is not there yet is observed.
func (e *Engine) AddMemory(r *Region, lo, hi, granule uintptr, offset int64, know func(*Target)) (*Target, error) {
	return e.add(r, lo, hi, granule, offset, 0, know)
}

// RearmMemory arms a target with its contents. The owner must not unmap it meanwhile: either a guard
// holds it, or the process's other threads are parked. A guard of our own memory need do nothing. took
// is for how long the target's touchers, or all threads, were stopped.
func (e *Engine) RearmMemory(g *Target, guard Guard) (took time.Duration, err error) {
	if err := cmp.Or(e.blind(), e.HaveRearm()); err != nil {
		return 0, err
	}
	g.merging.Wait()
	if err := e.mergeAll(g); err != nil { // what a failure left there
		return 0, err
	}
	if g.t.marks == 0 {
		if g.t.marks, err = newOffHeap(marksLen(g.t, e.s.pageSize)); err != nil {
			return 0, err
		}
	}
	// A child that forks without sharing memory would read zeros: rather nothing than that.
	if err := advise(g.Lo, g.Hi-g.Lo, unix.MADV_DONTFORK, "MADV_DONTFORK"); err != nil && !errors.Is(err, unix.ENOMEM) {
		return 0, err
	}
	took, err = e.yank(g, guard)
	if raw.Load64(&g.t.young) != 0 {
		g.merging.Go(func() { e.mergeAll(g) })
	}
	return took, err
}

// yank has the surgeon take everything in a target to a new shadow.
func (e *Engine) yank(g *Target, guard Guard) (took time.Duration, err error) {
	cover, mem, err := newShadow(g)
	if err != nil {
		return 0, err
	}
	c, err := e.operateMemory(opYank, g, cover, guard)
	switch cover {
	case uintptr(raw.Load64(&g.t.old)):
		g.oldMem = mem
	case uintptr(raw.Load64(&g.t.young)):
		g.youngMem = mem
	default:
		freeOffHeap(mem.p, mem.size)
	}
	if err == nil {
		g.Since = time.Duration(c.armed)
	}
	return time.Duration(c.took), err
}

// newShadow reserves addresses for a layer. They lie in their page tables as the target does, so
// that mremap can take page tables as they are. The memory is like that which comes there: UFFDIO_MOVE moves
// no page between mappings that differ, and a part of a target may be armed later than the rest. But it has no access
// until it is registered, see yank.
func newShadow(g *Target) (uintptr, offHeap, error) {
	const table = 2 << 20
	length := g.Hi - g.Lo
	p, _, err := raw.Map(length+table, unix.PROT_NONE)
	if err != nil {
		return 0, offHeap{}, fmt.Errorf("reserve a shadow of %d bytes: %w", length, err)
	}
	if err := advise(p, length+table, unix.MADV_DONTFORK, "MADV_DONTFORK"); err != nil {
		freeOffHeap(p, length+table)
		return 0, offHeap{}, fmt.Errorf("keep a shadow from children: %w", err)
	}
	return p + (g.Lo-p)%table, offHeap{p, length + table}, nil
}

// mergeSlice bounds how long one command to merge keeps the surgeon from others.
const mergeSlice = 2e6 // ns

// mergePasses bounds how often the young layer is gone through: pages that the kernel keeps locked
// for the moment stay there in a pass.
const mergePasses = 100

// mergeAll empties the young layer into the old one, in slices. Nobody waits for it but the caller.
func (e *Engine) mergeAll(g *Target) error {
	for cursor, passes := uintptr(0), 0; raw.Load64(&g.t.young) != 0; {
		c, err := e.operateMemory(opMerge, g, cursor, ours)
		if err != nil {
			return err
		}
		if cursor = c.cover; cursor == 0 {
			if passes++; passes > mergePasses {
				return fmt.Errorf("%w: pages of an earlier window cannot be put away", ErrBusy)
			}
		}
	}
	if g.youngMem.p != 0 {
		freeOffHeap(g.youngMem.p, g.youngMem.size)
		g.youngMem = offHeap{}
	}
	return nil
}

// ours is the guard of memory that nobody else unmaps.
func ours(critical func()) error { critical(); return nil }

// settleMerges bounds the rounds in which a target that is to be given back is emptied beforehand.
const settleMerges = 4

// ReleaseMemory gives a target back as the plain memory that it was, with its contents. What its owner has locked
// meanwhile stays locked.
func (e *Engine) ReleaseMemory(g *Target, guard Guard) error {
	g.merging.Wait()
	if g.oldMem.p == 0 {
		return e.RemoveArena(g)
	}
	err := e.takeHome(g, guard)
	if err != nil && e.givenBack() {
		e.forget(g)
		return nil
	}
	if errors.Is(err, ErrLocked) {
		return e.bringAllHome(g)
	}
	return err
}

// bringAllHome is takeHome for memory that is locked, which must not leave its mapping: page by page. Then the mapping
// does not merge with its neighbours.
func (e *Engine) bringAllHome(g *Target) error {
	nothing := Sample{Shift: 30, Armed: func(uint64) bool { return false }}
	if g.t.sample != 0 {
		nothing.Shift = uint(g.t.blockShift)
	}
	if _, err := e.Release(g, nothing, ours); err != nil {
		return err
	}
	if g.t.flags&tgDontfork == 0 {
		if err := advise(g.Lo, g.Hi-g.Lo, unix.MADV_DOFORK, "MADV_DOFORK"); err != nil && !errors.Is(err, unix.ENOMEM) {
			return err
		}
	}
	e.forget(g)
	return nil
}

// forget removes a target that is plain memory, with its layers, which hold nothing any more.
func (e *Engine) forget(g *Target) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settleReaders()
	e.remove(g)
	for _, m := range []*offHeap{&g.oldMem, &g.youngMem} {
		freeOffHeap(m.p, m.size)
		*m = offHeap{}
	}
}

// takeHome collects everything in the old layer and puts that in the target's place.
func (e *Engine) takeHome(g *Target, guard Guard) error {
	if err := e.mergeAll(g); err != nil {
		return err
	}
	// The last step collects what was touched since in the old layer, which has the mapping's origin,
	// and stops who touches meanwhile. So most of it is collected before.
	for range settleMerges {
		start := Now()
		if _, err := e.yank(g, guard); err != nil {
			return errors.Join(err, e.mergeAll(g))
		}
		if err := e.mergeAll(g); err != nil {
			return err
		}
		if Now()-start < mergeSlice {
			break
		}
	}
	cover, mem, err := newShadow(g)
	if err != nil {
		return err
	}
	_, err = e.operateMemory(opHome, g, cover, guard)
	if raw.Load64(&g.t.young) != 0 {
		g.youngMem = mem
		return errors.Join(err, e.mergeAll(g))
	}
	freeOffHeap(mem.p, mem.size)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settleReaders()
	e.remove(g)
	freeOffHeap(g.oldMem.p, g.oldMem.size)
	g.oldMem = offHeap{}
	return nil
}

// KeepDontfork says that the owner of a target had excluded it from children before it was armed.
func (g *Target) KeepDontfork() { g.t.flags |= tgDontfork }

// operateMemory has the surgeon do one operation and returns its answer.
func (e *Engine) operateMemory(op uint32, g *Target, cover uintptr, guard Guard) (command, error) {
	var answer command
	e.op.Lock()
	defer e.op.Unlock()
	if op != opMerge { // it takes what there is to a shadow
		defer e.moves(cover, g.Hi-g.Lo)()
	}
	_, err := e.commandHeld(op, g, cover, guard, func(c *command) { answer = *c })
	return answer, err
}

// registerLayer makes a layer one that pages can be moved to.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) registerLayer(w *worker, lo, length uintptr) {
	w.args[0], w.args[1], w.args[2], w.args[3] = uint64(lo), uint64(length), uint64(uffd.ModeMissing), 0
	raw.Syscall(unix.SYS_IOCTL, uintptr(s.layersFD), uintptr(uffd.IoctlRegister), uintptr(unsafe.Pointer(&w.args)), 0, 0, 0)
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) unregister(w *worker, fd uint32, lo, length uintptr) {
	w.args[0], w.args[1] = uint64(lo), uint64(length)
	if w.refused = raw.Errno(raw.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(uffd.IoctlUnregister), uintptr(unsafe.Pointer(&w.args)), 0, 0, 0)); w.refused != 0 {
		deep(unreleased, uintptr(unsafe.Pointer(w)))
	}
}
