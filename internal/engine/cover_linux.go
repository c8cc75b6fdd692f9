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
	"golang.org/x/sys/unix"
)

// File is a shared file mapping of this process, as /proc/self/maps shows it, and the region that it is to belong to.
type File struct {
	Region     *Region
	Granule    uintptr
	Sample     Sample
	Lo, Hi     uintptr
	Offset     int64
	Dev, Inode uint64 // Dev is major<<32 | minor
	Prot       int
	Mincore    bool // mincore tells the truth about this file
	OnFault    bool // it is locked in memory when it is touched (MLOCK_ONFAULT, MCL_ONFAULT)
	Private    bool // it is no file, but private memory: with delivery by signal alone
}

// Guard runs critical while the mapping's owner promises not to change it.
type Guard func(critical func()) error

// Covered is what became of a file: what covers it, or why nothing does.
type Covered struct {
	*Target
	Err error
}

// Cover arms file mappings that other code owns, ascending by address. Without a guard the other threads of the
// process are parked for the moments of the change: for as many mappings at once as fit, and then they run before it goes on.
// know is told of each target before its first fault. placed is told of those of one such moment, and how long that was.
func (e *Engine) Cover(files []File, know func(*Target), guard Guard, placed func(done []*Target, took time.Duration)) []Covered {
	out := make([]Covered, len(files))
	if err := e.blind(); err != nil {
		for i := range out {
			out[i].Err = err
		}
		return out
	}
	if e.s.signals {
		e.coverFiles(files, out, know, guard, placed)
		return out
	}
	aliases := make([]AddrRange, 0, len(files))
	for i, f := range files {
		if out[i].Err = e.roomFor(len(aliases)); out[i].Err != nil {
			continue
		}
		alias, err := duplicate(f)
		if out[i].Err = err; err == nil {
			aliases = append(aliases, AddrRange{alias, alias + (f.Hi - f.Lo)})
			out[i].Target = &Target{Lo: f.Lo, Hi: f.Hi, alias: alias}
		}
	}
	// A duplicate may lie where a file's mapping was until its owner unmapped it, and looks like it.
	slices.SortFunc(aliases, func(a, b AddrRange) int { return cmp.Compare(a.Lo, b.Lo) })
	own, behind := aliases, uintptr(0)
	for i, f := range files {
		overlaps := f.Lo < behind // mappings merge while their list is read
		behind = max(behind, f.Hi)
		for len(own) > 0 && own[0].Hi <= f.Lo {
			own = own[1:]
		}
		if out[i].Err == nil && (overlaps || len(own) > 0 && own[0].Lo < f.Hi) {
			out[i].refuse(ErrGone)
		}
	}
	e.supersede(out)
	e.enlist(files, out, know)
	var list []*laying
	var of []int
	for i, c := range out {
		if c.Err == nil {
			list, of = append(list, &laying{Target: c.Target, sm: files[i].Sample, prot: files[i].Prot, onFault: files[i].OnFault}), append(of, i)
		}
	}
	e.lay(opPlace, list, guard, func(done []*laying, took time.Duration) {
		targets := make([]*Target, len(done))
		for i, l := range done {
			targets[i] = l.Target
		}
		placed(targets, took)
	})
	var failed []*Target
	for i, l := range list {
		if l.err != nil {
			out[of[i]] = Covered{Err: l.err}
			failed = append(failed, l.Target)
		}
	}
	e.removeFailed(failed)
	return out
}

// removeFailed removes targets that could not be armed.
func (e *Engine) removeFailed(failed []*Target) {
	if len(failed) == 0 {
		return
	}
	e.op.Lock()
	for _, g := range failed {
		g.lost.Store(true) // before they are freed
	}
	e.op.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(failed...)
}

// refuse gives up what was prepared.
func (c *Covered) refuse(err error) {
	freeOffHeap(c.alias, c.Hi-c.Lo)
	*c = Covered{Err: err}
}

// duplicate maps a file's mapping a second time. Old length 0 duplicates a shared mapping; it needs no descriptor, so
// no lock on the file is lost by closing one.
func duplicate(f File) (alias uintptr, err error) {
	alias, _, n := unix.Syscall6(unix.SYS_MREMAP, f.Lo, 0, f.Hi-f.Lo, unix.MREMAP_MAYMOVE, 0, 0)
	switch {
	case n == 0:
		return alias, nil
	case denied(uintptr(n)):
		return 0, refusedError("duplicate the mapping", callRemap, n)
	case n == unix.EAGAIN: // mlock_future_ok, mm/mmap.c
		return 0, fmt.Errorf("%w, and a second mapping of it cannot be: raise RLIMIT_MEMLOCK by %d bytes: mremap: %w", ErrLocked, f.Hi-f.Lo, n)
	case n == unix.ENOMEM:
		return 0, fmt.Errorf("duplicate the mapping: %w: the process has no memory or mappings left (vm.max_map_count)", n)
	}
	return 0, fmt.Errorf("%w: duplicate the mapping: %w", ErrGone, n)
}

// enlist makes targets of what was duplicated, and publishes them at once.
func (e *Engine) enlist(files []File, out []Covered, know func(*Target)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []*Target
	for i, f := range files {
		c := &out[i]
		if c.Err != nil {
			continue
		}
		g, err := e.newTarget(f.Region, f.Lo, f.Hi, f.Granule, f.Offset, len(list))
		if err != nil {
			c.refuse(err)
			continue
		}
		g.dev, g.inode, g.alias = f.Dev, f.Inode, c.alias
		g.t.kind, g.t.uffd, g.t.alias, g.t.prot = kindOverlay, e.s.overlayFD, c.alias, uint32(f.Prot)
		if f.Mincore {
			g.t.flags |= tgMincore
		}
		know(g)
		c.Target = g
		list = append(list, g)
	}
	e.insert(list...)
}

// supersede gives back what older targets cover where ranges become new ones: their owner unmapped what they
// covered there, and nobody has looked since. Once the new placeholder lies there it could not be told from
// theirs, and what has to be theirs would be put over it. What they cover elsewhere would not be served, since
// the table has no targets that overlap.
func (e *Engine) supersede(out []Covered) {
	for i := range out {
		c := &out[i]
		if c.Err != nil {
			continue
		}
		var old []*Target
		e.mu.Lock()
		at, _ := slices.BinarySearchFunc(e.targets, c.Lo, func(o *Target, lo uintptr) int {
			if o.Hi <= lo {
				return -1
			}
			return 1
		})
		for ; at < len(e.targets) && e.targets[at].Lo < c.Hi; at++ {
			if g := e.targets[at]; g.t.kind == kindOverlay || g.t.kind == kindFile {
				old = append(old, g)
			}
		}
		e.mu.Unlock()
		// The new target's guard is for its own range only.
		if err := e.giveBack(old, nil, func([]*Target, time.Duration) {}); err != nil {
			c.refuse(err)
		}
	}
}

// Lost reports whether a newer target has taken a part of this one's range. Nothing of it is armed any more.
func (g *Target) Lost() bool { return g.lost.Load() }

// Rearm covers the blocks of targets that are in their samples again, and maybe more of them than before:
// what was touched there faults again when it is touched next. The errors are those of each target. rearmed is told of those of one stop.
func (e *Engine) Rearm(list []Rearming, guard Guard, rearmed func(done []*Target, took time.Duration)) []error {
	errs := make([]error, len(list))
	var layings []*laying
	var files []*filing
	var of, filesOf []int
	for i, a := range list {
		// What is not in it would be forgotten, and not served any more.
		if _, errs[i] = e.Release(a.Target, a.Sample, guard); errs[i] == nil && a.Protected() {
			files, filesOf = append(files, &filing{Target: a.Target, sm: a.Sample, prot: a.Prot}), append(filesOf, i)
		} else if errs[i] == nil {
			layings, of = append(layings, &laying{Target: a.Target, sm: a.Sample, prot: a.Prot, onFault: a.OnFault}), append(of, i)
		}
	}
	e.armFiles(opRearm, files, guard, rearmed)
	for i, f := range files {
		errs[filesOf[i]] = f.err
	}
	e.lay(opRearm, layings, guard, func(done []*laying, took time.Duration) {
		targets := make([]*Target, len(done))
		for i, l := range done {
			targets[i] = l.Target
		}
		rearmed(targets, took)
	})
	for i, l := range layings {
		errs[of[i]] = l.err
	}
	return errs
}

// Rearming is a target that is to be armed again. OnFault allows that some of it is locked, see File.OnFault.
type Rearming struct {
	*Target
	Sample  Sample
	Prot    int
	OnFault bool
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

// Uncover takes the placeholders away again and forgets the targets, as many at once as fit in a stop of the other threads. done is
// told of each such part. After an error those that are left are served, and one of them may be plain memory in parts.
func (e *Engine) Uncover(list []*Target, guard Guard, done func(part []*Target, took time.Duration)) error {
	return e.giveBack(list, guard, func(part []*Target, took time.Duration) {
		for _, g := range part {
			e.letGo(g)
		}
		e.mu.Lock()
		e.settleReaders() // a reader may know of a piece that the application has just moved
		e.remove(part...)
		e.mu.Unlock()
		done(part, took)
	})
}

// giveBack makes every piece of the targets' placeholders the file's mapping again, in steps between which the other
// threads run. done is told of those that a step has finished, and how long it was.
func (e *Engine) giveBack(list []*Target, guard Guard, done func(part []*Target, took time.Duration)) error {
	e.op.Lock()
	for _, g := range list {
		g.cursor = 0 // who gives back the same target meanwhile begins anew as well
	}
	e.op.Unlock()
	for len(list) > 0 {
		part, took, worked, err := e.giveBackSome(list, guard)
		done(part, took)
		if err != nil {
			return err
		}
		if list = list[len(part):]; len(list) > 0 {
			e.between(list[0], worked)
		}
	}
	return nil
}

func (e *Engine) giveBackSome(list []*Target, guard Guard) (done []*Target, took, worked time.Duration, err error) {
	e.op.Lock()
	defer e.op.Unlock()
	if list[0].lost.Load() { // somebody else gave it back; it may be freed already
		return list[:1], 0, 0, nil
	}
	n := 1
	for n < min(len(list), cutsMost) && !list[n].lost.Load() {
		n++
	}
	list = list[:n]
	cuts := make([]cutting, len(list))
	for i, g := range list {
		cuts[i] = g.cutting(0)
		cuts[i].cursor = g.cursor
	}
	took, worked, err = e.cutAll(opDisarm, list[0], cuts, guard)
	for i, g := range list {
		c := &cuts[i]
		if g.cursor = c.cursor; err == nil && c.done != 0 {
			if err = c.err(); err != nil && c.status == statusFailed && e.givenBack() {
				err = nil
				break // again: all of it is plain memory
			}
		}
		if c.done == 0 || err != nil {
			break
		}
		g.lost.Store(true)
		done = append(done, g)
	}
	return done, took, worked, err
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
				items := unsafe.Slice(at[cutting](e.s.cmd.items), e.cutting)
				for i := range items {
					items[i].done, items[i].status, items[i].cursor = 1, statusOK, 0
				}
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
				e.s.cmd.patient = 0
				if trial.patient() {
					e.s.cmd.patient = int64(trial.patience())
				}
				whilePlacing(func() { took += e.run(op, g, cover, guard == nil, trial.limit(guard == nil)) })
			}
		}
		if guard == nil {
			run()
		} else if err := guard(run); !ran { // else what was done stands, whatever the guard says
			return took, fmt.Errorf("the mapping's guard did not run what it was given: %w", cmp.Or(err, errGuard))
		}
		switch c := &e.s.cmd; c.status {
		case statusOK:
			trial.over(c)
			done(c)
			return took, nil
		case statusFailed:
			if (op == opDisarm || op == opRelease) && e.givenBack() {
				continue
			}
			if err := e.blind(); err != nil && c.call == 0 {
				return took, err
			}
			return took, answerError(c.status, c.errno, c.call)
		case statusGone, statusLocked:
			return took, answerError(c.status, c.errno, c.call)
		}
		if err := trial.busy(&e.s.cmd, try); err != nil {
			return took, err
		}
	}
}

// answerError is the error of an answer of the surgeon's.
func answerError(status, errno uint32, call uintptr) error {
	switch status {
	case statusOK:
		return nil
	case statusGone:
		return ErrGone
	case statusLocked:
		return ErrLocked
	}
	if call != 0 {
		return refusedError("change the mapping", call-1, unix.Errno(errno))
	}
	return fmt.Errorf("change the mapping: %w", unix.Errno(errno))
}

// run hands the command over and waits for its end in the kernel, where this thread can be parked
// like any other.
func (e *Engine) run(op uint32, g *Target, cover uintptr, park bool, limit time.Duration) time.Duration {
	c := &e.s.cmd
	c.op, c.target, c.cover, c.dev, c.inode = op, uintptr(unsafe.Pointer(g.t)), cover, g.dev, g.inode
	c.cursor = g.cursor
	c.sample, c.blockShift = g.sample, g.blockShift
	c.count, c.at, c.slice = uintptr(e.cutting), 0, int64(e.stopLimit/stopSlices)
	c.park, c.limit = 0, int64(limit)
	if park {
		c.park = 1
	}
	before := raw.Load32(&c.done)
	bell := raw.Add32(&c.bell, 1)
	futexWake(&c.bell, 1)
	if !e.await(&c.done, before, bell, surgeonNumber) {
		c.status, c.errno, c.call, c.took = statusFailed, uint32(unix.ESRCH), 0, 0
	}
	return time.Duration(c.took)
}
