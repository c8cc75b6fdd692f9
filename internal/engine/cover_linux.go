//go:build linux && (amd64 || arm64)

package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// File is a shared file mapping of this process, as /proc/self/maps shows it.
type File struct {
	Lo, Hi     uintptr
	Offset     int64
	Dev, Inode uint64 // Dev is major<<32 | minor
	Prot       int
	Mincore    bool // mincore tells the truth about this file
	OnFault    bool // it is locked in memory when it is touched (MLOCK_ONFAULT, MCL_ONFAULT)
}

// Guard runs critical while the mapping's owner promises not to change it.
type Guard func(critical func()) error

// Cover arms a file mapping that other code owns. Without a guard the other threads of the process
// are parked for the moment of the change. know is told of the target before its first fault.
func (e *Engine) Cover(r *Region, f File, granule uintptr, sm Sample, know func(*Target), guard Guard) (*Target, time.Duration, error) {
	// Old length 0 duplicates a shared mapping; it needs no descriptor, so no lock on the file is
	// lost by closing one.
	alias, _, n := unix.Syscall6(unix.SYS_MREMAP, f.Lo, 0, f.Hi-f.Lo, unix.MREMAP_MAYMOVE, 0, 0)
	switch {
	case n != 0 && denied(uintptr(n)):
		return nil, 0, refusedError("duplicate the mapping", callRemap, n)
	case n == unix.EAGAIN: // mlock_future_ok, mm/mmap.c
		return nil, 0, fmt.Errorf("%w, and a second mapping of it cannot be: raise RLIMIT_MEMLOCK by %d bytes: mremap: %w", ErrLocked, f.Hi-f.Lo, n)
	case n == unix.ENOMEM:
		return nil, 0, fmt.Errorf("duplicate the mapping: %w: the process has no memory or mappings left (vm.max_map_count)", n)
	case n != 0:
		return nil, 0, fmt.Errorf("%w: duplicate the mapping: %w", ErrGone, n)
	}
	if err := e.supersede(f.Lo, f.Hi); err != nil {
		freeOffHeap(alias, f.Hi-f.Lo)
		return nil, 0, err
	}
	e.mu.Lock()
	g, err := e.newTarget(r, f.Lo, f.Hi, granule, f.Offset)
	if err != nil {
		e.mu.Unlock()
		freeOffHeap(alias, f.Hi-f.Lo)
		return nil, 0, err
	}
	g.dev, g.inode = f.Dev, f.Inode
	g.t.kind, g.t.uffd, g.t.alias, g.t.prot = kindOverlay, e.s.overlayFD, alias, uint32(f.Prot)
	if f.Mincore {
		g.t.flags |= tgMincore
	}
	know(g)
	e.insert(g)
	e.mu.Unlock()
	took, err := e.lay(opPlace, g, f.Prot, f.OnFault, sm, guard)
	if err != nil {
		e.op.Lock()
		g.lost.Store(true) // before it is freed
		e.op.Unlock()
		e.mu.Lock()
		e.remove(g)
		e.mu.Unlock()
		return nil, took, err
	}
	return g, took, nil
}

// supersede gives back what older targets cover where a range becomes a new one: its owner unmapped what they
// covered there, and nobody has looked since. Once the new placeholder lies there it could not be told from
// theirs, and what has to be theirs would be put over it. What they cover elsewhere would not be served, since
// the table has no targets that overlap.
func (e *Engine) supersede(lo, hi uintptr) error {
	e.mu.Lock()
	var old []*Target
	for _, g := range e.targets {
		if g.t.kind == kindOverlay && g.Lo < hi && lo < g.Hi {
			old = append(old, g)
		}
	}
	e.mu.Unlock()
	for _, g := range old {
		// The new target's guard is for its own range only.
		if _, _, err := e.giveBack(g, nil); err != nil {
			return err
		}
	}
	return nil
}

// Lost reports whether a newer target has taken a part of this one's range. Nothing of it is armed any more.
func (g *Target) Lost() bool { return g.lost.Load() }

// Rearm covers the blocks of a target that are in the sample again, and maybe more of them than before:
// what was touched there faults again when it is touched next. onFault allows that some of it is locked, see
// File.OnFault.
func (e *Engine) Rearm(g *Target, prot int, onFault bool, sm Sample, guard Guard) (time.Duration, error) {
	// What is not in it would be forgotten, and not served any more.
	if took, err := e.Release(g, sm, guard); err != nil {
		return took, err
	}
	return e.lay(opRearm, g, prot, onFault, sm, guard)
}

// lay makes a placeholder, registers it and has it moved over the target.
func (e *Engine) lay(op uint32, g *Target, prot int, onFault bool, sm Sample, guard Guard) (time.Duration, error) {
	if err := e.blind(); err != nil {
		return 0, err
	}
	g.onFault = 0
	if onFault {
		if err := e.hold(g); err != nil {
			return 0, err
		}
		g.onFault = 1
	}
	length := g.Hi - g.Lo
	bitmap, err := sm.bitmap(g.t)
	if err != nil {
		return 0, err
	}
	took, err := e.layNew(op, g, prot, bitmap, sm.Shift, guard)
	if err != nil {
		return took, err
	}
	if prot&unix.PROT_WRITE != 0 {
		// An msync by the owner does not reach what a placeholder covers. So nothing dirty is left there.
		if _, _, n := unix.Syscall(unix.SYS_MSYNC, g.t.alias, length, unix.MS_SYNC); n != 0 {
			// The range is armed all the same; the failure is shown with the engine's errors.
			raw.Add64(&e.s.errors, 1)
			raw.Store64(&e.s.lastErr, uint64(n))
		}
	}
	return took, nil
}

// layNew holds op from before the placeholder exists: where it is made, a target may have been that its owner
// unmapped. When that one is given back meanwhile, its file would be put over what looks like its own placeholder.
func (e *Engine) layNew(op uint32, g *Target, prot int, bitmap uintptr, shift uint, guard Guard) (time.Duration, error) {
	e.op.Lock()
	defer e.op.Unlock()
	length := g.Hi - g.Lo
	cover, err := e.placeholder(length)
	if err != nil {
		freeOffHeap(bitmap, sampleLen)
		return 0, err
	}
	before := g.t.sample
	g.sample, g.blockShift, g.prot = bitmap, uintptr(shift), uint32(prot)
	took, err := e.commandHeld(op, g, cover, guard, func(c *command) { g.Since = time.Duration(c.armed) })
	if g.t.sample == bitmap {
		freeOffHeap(before, sampleLen)
	} else {
		freeOffHeap(bitmap, sampleLen)
	}
	if err != nil {
		freeOffHeap(cover+g.moved, length-g.moved)
	}
	return took, err
}

// placeholder maps registered memory that is never filled. Whatever the process asks the kernel to fill (mlockall,
// MADV_POPULATE_READ): it has no access until it is registered, which the surgeon gives it before it comes into place.
// From then on the engine alone fills it.
func (e *Engine) placeholder(length uintptr) (uintptr, error) {
	cover, _, err := raw.Map(length, unix.PROT_NONE)
	if err != nil {
		return 0, fmt.Errorf("map a placeholder: %w", err)
	}
	if err := e.preparePlaceholder(cover, length); err != nil {
		raw.Unmap(cover, length)
		return 0, err
	}
	return cover, nil
}

func (e *Engine) preparePlaceholder(cover, length uintptr) error {
	half := length / 2 &^ (e.s.pageSize - 1)
	for _, a := range []struct {
		n      uintptr
		advice int
		name   string
	}{
		{length, unix.MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE"},
		// A child that forks without sharing memory would read zeros: rather nothing than that.
		{length, unix.MADV_DONTFORK, "MADV_DONTFORK"},
		// Two mappings instead of one, see cut.
		{half, unix.MADV_DONTDUMP, "MADV_DONTDUMP"},
	} {
		if a.n == 0 {
			continue
		}
		// EINVAL: a kernel without huge pages does not know the advice.
		if err := advise(cover, a.n, a.advice, a.name); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("prepare a placeholder: %w", err)
		}
	}
	if _, err := e.overlay.Register(uffd.Range{Start: uffd.Addr(cover), End: uffd.Addr(cover + length)}, uffd.ModeMissing); err != nil {
		return err
	}
	return vacant(cover, length, e.s.pageSize)
}

// vacant makes sure that memory holds no page. Nothing but a debugger can have filled it, so where the kernel may not be
// asked it counts as empty.
func vacant(lo, length, page uintptr) error {
	filled := false
	if eachPresent(lo, length, func(uintptr, uintptr) bool {
		filled = true
		return false
	}) != nil {
		filled = resident(lo, length, page)
	}
	if filled {
		return ErrFilled
	}
	return nil
}

// resident asks mincore, which tells of every page, and takes as long.
func resident(lo, length, page uintptr) bool {
	vec := make([]byte, min(length/page, 1<<16))
	for hi := lo + length; lo < hi; {
		n := min(uintptr(len(vec)), (hi-lo)/page)
		if _, _, e := unix.Syscall(unix.SYS_MINCORE, lo, n*page, uintptr(unsafe.Pointer(&vec[0]))); e != 0 {
			return false
		}
		if slices.ContainsFunc(vec[:n], func(b byte) bool { return b&1 != 0 }) {
			return true
		}
		lo += n * page
	}
	return false
}

// Uncover takes the placeholder away again and forgets the target. holes is how many mappings in
// its range had become somebody else's.
func (e *Engine) Uncover(g *Target, guard Guard) (holes uint64, took time.Duration, err error) {
	if holes, took, err = e.giveBack(g, guard); err != nil {
		return 0, took, err
	}
	e.letGo(g)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settleReaders() // a reader may know of a piece that the application has just moved
	e.remove(g)
	return holes, took, nil
}

// giveBack makes every piece of a target's placeholder the file's mapping again, in steps between which the other
// threads run. took is the longest of them. After an error what is left is served, and the rest plain memory.
func (e *Engine) giveBack(g *Target, guard Guard) (holes uint64, took time.Duration, err error) {
	for g.cursor = 0; ; {
		var worked time.Duration
		_, err := e.commandWith(opDisarm, g, 0, guard, func(c *command) {
			took, worked = max(took, time.Duration(c.took)), time.Duration(c.worked)
			holes += c.holes
			if g.cursor = c.cursor; c.cursor == 0 {
				g.lost.Store(true)
			}
		})
		if err != nil || g.lost.Load() {
			return holes, took, err
		}
		e.between(g, worked)
	}
}

// between lets the other threads run for longer than they were stopped, before an operation goes on, which begins anew.
func (e *Engine) between(g *Target, worked time.Duration) {
	time.Sleep(restBetween * worked)
	e.Begin(g.of, 1)
}

// restBetween is how much longer.
const restBetween = 4

var errGuard = errors.New("it returned no error")

// freezeLimit bounds for how long the touchers of one target are stopped for one try, and freezeTries the tries, where no
// other thread need be.
const (
	freezeLimit = 20 * time.Millisecond
	freezeTries = 50
)

// commandWith has the surgeon do one operation and returns how long other threads were parked. done sees the
// answer of one that succeeded.
func (e *Engine) commandWith(op uint32, g *Target, cover uintptr, guard Guard, done func(*command)) (took time.Duration, err error) {
	e.op.Lock()
	defer e.op.Unlock()
	return e.commandHeld(op, g, cover, guard, done)
}

// commandHeld is commandWith for a caller that holds op.
func (e *Engine) commandHeld(op uint32, g *Target, cover uintptr, guard Guard, done func(*command)) (took time.Duration, err error) {
	g.moved = 0
	if g.lost.Load() { // the target may be freed already
		if op == opDisarm || op == opRelease {
			return 0, nil
		}
		return 0, ErrGone
	}
	trial := e.trial(g)
	for try := 0; ; try++ {
		if e.isOver() {
			if op == opDisarm || op == opRelease {
				done(&command{})
				return took, nil // it is plain memory
			}
			return took, e.blind()
		}
		if guard == nil {
			if err := trial.allowed(); err != nil {
				return took, err
			}
		}
		ran := false
		run := func() {
			if !ran {
				ran = true
				whilePlacing(func() { took += e.run(op, g, cover, guard == nil, trial.limit(guard == nil)) })
			}
		}
		if guard == nil {
			run()
		} else if err := guard(run); !ran { // else what was done stands, whatever the guard says
			return took, fmt.Errorf("the mapping's guard did not run what it was given: %w", cmp.Or(err, errGuard))
		}
		g.moved = e.s.cmd.moved
		switch c := &e.s.cmd; c.status {
		case statusOK:
			trial.over(c)
			done(c)
			return took, nil
		case statusGone:
			return took, ErrGone
		case statusLocked:
			return took, ErrLocked
		case statusFailed:
			if (op == opDisarm || op == opRelease) && e.givenBack() {
				continue
			}
			if err := e.blind(); err != nil && c.call == 0 {
				return took, err
			}
			if c.call != 0 {
				return took, refusedError("change the mapping", c.call-1, unix.Errno(c.errno))
			}
			return took, fmt.Errorf("change the mapping: %w", unix.Errno(c.errno))
		}
		if err := trial.busy(&e.s.cmd, try); err != nil {
			return took, err
		}
	}
}

// run hands the command over and waits for its end in the kernel, where this thread can be parked
// like any other.
func (e *Engine) run(op uint32, g *Target, cover uintptr, park bool, limit time.Duration) time.Duration {
	c := &e.s.cmd
	c.op, c.target, c.cover, c.dev, c.inode = op, uintptr(unsafe.Pointer(g.t)), cover, g.dev, g.inode
	c.cursor = g.cursor
	c.sample, c.blockShift, c.prot, c.onFault = g.sample, g.blockShift, g.prot, g.onFault
	c.park, c.limit = 0, int64(limit)
	if park {
		c.park = 1
	}
	before := raw.Load32(&c.done)
	bell := raw.Add32(&c.bell, 1)
	futexWake(&c.bell, 1)
	if !e.await(&c.done, before, bell, surgeonNumber) {
		c.status, c.errno, c.call, c.took, c.moved = statusFailed, uint32(unix.ESRCH), 0, 0, 0
	}
	return time.Duration(c.took)
}
