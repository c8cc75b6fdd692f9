//go:build linux && (amd64 || arm64)

package engine

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// A target may be armed in a part of its blocks only: runs of granules, aligned in the region, so that
// the number of mappings stays bounded whatever the size of a granule. What is not armed is plain memory
// (not registered) or the file's own mapping, and costs nothing. The hot path knows nothing of it: the
// granules of other blocks are open. Only the surgeon reads which blocks are armed.

// Sample says which blocks of a region are armed. The zero value arms all of them.
type Sample struct {
	Shift uint                    // log2 of a block's size, at least that of a granule
	Armed func(block uint64) bool // by the block's offset in the region, shifted right by Shift; nil is all
}

// bitmap lists the armed blocks of a target off the heap. 0 is all of them.
func (sm Sample) bitmap(t *target) (uintptr, error) {
	if sm.Armed == nil {
		return 0, nil
	}
	p, err := newOffHeap(sampleLen)
	if err != nil {
		return 0, err
	}
	first := uint64(t.offset) >> sm.Shift
	n := (uint64(t.offset)+uint64(t.hi-t.lo)-1)>>sm.Shift - first + 1
	if n > sampleLen*8 {
		freeOffHeap(p, sampleLen)
		return 0, fmt.Errorf("sample a mapping of %d blocks: at most %d", n, sampleLen*8)
	}
	for i := range n {
		if sm.Armed(first + i) {
			*at[uint64](p + uintptr(i/64)*8) |= 1 << (i % 64)
		}
	}
	return p, nil
}

// sampleLen is the size of a bitmap of blocks.
const sampleLen = 1 << 16

// Sampled reports whether some of a target's blocks are not armed.
func (g *Target) Sampled() bool { return g.t.sample != 0 }

// propose says which sample the next command for a target is about.
func (e *Engine) propose(g *Target, bitmap uintptr, shift uint) {
	e.op.Lock()
	defer e.op.Unlock()
	g.sample, g.blockShift = bitmap, uintptr(shift)
}

// setSample replaces a target's bitmap by that of the last command, or frees that.
func (e *Engine) setSample(g *Target, used bool) {
	e.op.Lock()
	defer e.op.Unlock()
	if used {
		g.t.sample, g.sample = g.sample, g.t.sample
		g.t.blockShift = g.blockShift
	}
	freeOffHeap(g.sample, sampleLen)
	g.sample = 0
}

// freeOther frees that of two samples which the target does not have now: the one from before, or the one that was to be.
func (g *Target) freeOther(before, next uintptr) {
	if g.t.sample == next {
		freeOffHeap(before, sampleLen)
	} else {
		freeOffHeap(next, sampleLen)
	}
}

// more reports whether a target has armed blocks that are not in its proposed sample.
func (g *Target) more() bool {
	t := *g.t
	t.sample, t.blockShift = g.sample, g.blockShift
	for lo := t.lo; lo < t.hi; {
		end, armed := g.t.run(lo, t.hi)
		if armed {
			var stays bool
			if end, stays = t.run(lo, end); !stays {
				return true
			}
		}
		lo = end
	}
	return false
}

// Release makes what is armed and not in the sample plain memory again, with its contents. What is in
// the sample stays as it is. The blocks of a target that is sampled already must be of that size. took is for how long other threads were stopped.
func (e *Engine) Release(g *Target, sm Sample, guard Guard) (took time.Duration, err error) {
	bitmap, err := sm.bitmap(g.t)
	if err != nil || bitmap == 0 {
		return 0, err
	}
	if g.t.sample != 0 {
		// What is in the sample and not armed stays so.
		for i := uintptr(0); i < sampleLen; i += 8 {
			*at[uint64](bitmap + i) &= *at[uint64](g.t.sample + i)
		}
	}
	e.propose(g, bitmap, sm.Shift)
	if !g.more() {
		e.setSample(g, false)
		return 0, nil
	}
	op := uint32(opRelease)
	if g.t.kind == kindArena {
		op, guard = opReleaseMemory, ours // nothing is taken away that a thread could miss
	}
	for cursor, more := uintptr(0), true; more; {
		var worked time.Duration
		cover := cursor
		if op == opRelease {
			g.cursor, cover = cursor, 0 // no placeholder
		}
		pause, err := e.commandWith(op, g, cover, guard, func(c *command) {
			if cursor = c.cover; op == opRelease {
				cursor, worked = c.cursor, time.Duration(c.worked)
			}
		})
		took = max(took, pause)
		if err != nil {
			e.setSample(g, false)
			return took, err
		}
		if more = cursor != 0; more && op == opRelease {
			e.between(g, worked)
		}
	}
	e.setSample(g, true)
	return took, nil
}

// ArmMore registers the blocks of a sample that were not armed. What is missing there faults from now on;
// what is there only after RearmMemory. mine lists the parts of a range that are still what the target
// was made of.
func (e *Engine) ArmMore(g *Target, sm Sample, mine func(lo, hi uintptr) []AddrRange) error {
	bitmap, err := sm.bitmap(g.t)
	if err != nil {
		return err
	}
	e.propose(g, bitmap, sm.Shift)
	t := *g.t
	t.sample, t.blockShift = bitmap, uintptr(sm.Shift)
	var errs []error
	for lo := t.lo; lo < t.hi; {
		end, before := g.t.run(lo, t.hi)
		end, armed := t.run(lo, end)
		if armed && !before {
			for _, r := range mine(lo, end) {
				g.t.setStates(r.Lo, r.Hi, gArmed)
				_, err := e.arena.Register(uffd.Range{Start: uffd.Addr(r.Lo), End: uffd.Addr(r.Hi)}, uffd.ModeMissing)
				errs = append(errs, err)
			}
		}
		lo = end
	}
	// Also after an error: some of them are registered now.
	e.setSample(g, true)
	return errors.Join(errs...)
}

// run returns how far the blocks from addr on, up to hi, are alike, and whether they are armed.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *target) run(addr, hi uintptr) (end uintptr, armed bool) {
	if t.sample == 0 {
		return hi, true
	}
	first := t.lo - uintptr(t.offset)&(1<<t.blockShift-1) // where the block of lo begins
	i := (addr - first) >> t.blockShift
	armed = t.armed(i)
	for end = addr; end < hi && t.armed(i) == armed; i++ {
		end = first + (i+1)<<t.blockShift
	}
	return min(end, hi), armed
}

//go:nosplit
//go:norace
//go:nocheckptr
func (t *target) armed(block uintptr) bool {
	return *at[uint64](t.sample + block/64*8)&(1<<(block%64)) != 0
}

// setStates sets the state of the granules in [lo, hi).
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *target) setStates(lo, hi uintptr, state uint32) {
	for g := t.granule(lo); g <= t.granule(hi-1); g++ {
		raw.Store32(t.state(g), state)
	}
}

// resetStates arms all granules of the sample, and opens the others.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) resetStates(t *target) {
	s.empty(t.states, statesLen(t)) // zero is gArmed
	for lo := t.lo; t.sample != 0 && lo < t.hi; {
		end, armed := t.run(lo, t.hi)
		if !armed {
			t.setStates(lo, end, gOpen)
		}
		lo = end
	}
}

// releaseStep is how many bytes are brought home in one go: nobody may read the descriptor meanwhile.
const releaseStep = 1 << 20

// releaseMemory brings home what the layers hold of the blocks that are not in the command's sample, and
// ends their registration, until the command's time is over. It leaves the offset at which to go on in
// command.cover. The target is served meanwhile.
//
//go:nosplit
//go:norace
//go:nocheckptr
func releaseMemory(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	t := at[target](c.target)
	lo := t.lo + c.cover
	c.cover = 0 // no mapping of ours is under way
	limit := raw.Nanotime() + mergeSlice
	for lo < t.hi {
		end, armed := t.run(lo, t.hi)
		if !armed {
			lo = end
			continue
		}
		var stays bool
		if end, stays = c.run(t, lo, end); stays {
			lo = end
			continue
		}
		if t.old != 0 {
			end = min(end, lo+releaseStep)
			w.carry.target, w.carry.dst, w.carry.length = c.target, lo, end-lo
			deep(bringRuns, arg)
		}
		t.setStates(lo, end, gOpen)
		s.unregisterPieces(w, t, lo, end)
		raw.Add64(&s.maps, 2)
		lo = end
		if raw.Nanotime() > limit && lo < t.hi {
			c.cover = lo - t.lo
			return
		}
	}
}

// run is target.run by the command's own sample.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (c *command) run(t *target, addr, hi uintptr) (end uintptr, armed bool) {
	bitmap, shift := t.sample, t.blockShift
	t.sample, t.blockShift = c.sample, c.blockShift // only the surgeon, who runs this, reads them
	end, armed = t.run(addr, hi)
	t.sample, t.blockShift = bitmap, shift
	return end, armed
}

// unregisterPieces ends the registration of a range, of which the owner may have given parts to others.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) unregisterPieces(w *worker, t *target, lo, hi uintptr) {
	w.args[0], w.args[1] = uint64(lo), uint64(hi-lo)
	if raw.Errno(raw.Syscall(unix.SYS_IOCTL, uintptr(t.uffd), uintptr(uffd.IoctlUnregister), uintptr(unsafe.Pointer(&w.args)), 0, 0, 0)) == 0 {
		return
	}
	for ; lo < hi; lo += s.pageSize {
		s.unregister(w, t.uffd, lo, s.pageSize)
	}
}

// bringRuns moves home what the layers hold of the worker's piece.
//
//go:nosplit
//go:norace
//go:nocheckptr
func bringRuns(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	t, lo, length := at[target](w.carry.target), w.carry.dst, w.carry.length
	for young := 0; young < 2; young++ {
		layer := uintptr(raw.Load64(&t.young))
		if young == 1 {
			layer = uintptr(raw.Load64(&t.old))
		}
		if layer == 0 {
			continue
		}
		from := layer + lo - t.lo
		for hi := from + length; from < hi; {
			n, end := s.scan(w, from, hi, s.text)
			if end <= from {
				n, end = 1, hi // it cannot be told: all of it
				*at[uintptr](s.text), *at[uintptr](s.text + 8) = from, hi
			}
			for i := uintptr(0); i < n; i++ {
				a, b := *at[uintptr](s.text + i*pageRegion), *at[uintptr](s.text + i*pageRegion + 8)
				s.bringHome(w, t, a, t.lo+a-layer, b-a)
			}
			from = end
		}
	}
}

// bringHome is bring until the kernel does it, by who is not a reader of the descriptor.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) bringHome(w *worker, t *target, src, dst, length uintptr) {
	for {
		s.lock(w, &s.reading)
		_, ok := s.bring(w, t, src, dst, length)
		unlock(&s.reading)
		if ok {
			return
		}
		s.nap(w, 50e3)
	}
}
