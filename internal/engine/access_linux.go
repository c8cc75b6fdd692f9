//go:build linux && (amd64 || arm64)

package engine

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// What the surgeon does to a file that is observed by SIGSEGV, see segv_linux.go: it takes the access away, and gives it back.

// guardMost bounds what is armed with guard markers: they need page tables for all of it, 2 MiB for each GiB.
const guardMost = 16 << 30

// filing is a file whose access is to be taken away.
type filing struct {
	*Target
	sm             Sample
	prot           int
	bitmap, before uintptr // of the sample
	cursor         uintptr
	err            error
}

// coverFiles is Cover for such files. Where only a part of one could be armed the target is there all the same, beside the
// error.
func (e *Engine) coverFiles(files []File, out []Covered, know func(*Target), guard Guard, placed func(done []*Target, took time.Duration)) {
	for i, f := range files {
		out[i] = Covered{Target: &Target{Lo: f.Lo, Hi: f.Hi}}
	}
	e.supersede(out)
	var list []*filing
	var of []int
	var targets []*Target
	e.mu.Lock()
	for i, f := range files {
		if out[i].Err != nil {
			continue
		}
		g, err := e.newTarget(f.Region, f.Lo, f.Hi, f.Granule, f.Offset, len(list))
		if err != nil {
			out[i] = Covered{Err: err}
			continue
		}
		g.dev, g.inode = f.Dev, f.Inode
		g.t.kind, g.t.dev, g.t.inode, g.t.prot, g.t.flags = kindFile, f.Dev, f.Inode, uint32(f.Prot), tgNone
		switch {
		case f.Private:
			g.t.flags |= tgAnonymous
		case f.Hi-f.Lo <= guardMost && !WithoutGuards:
			g.t.flags = tgGuard // until the kernel refuses it
		}
		if f.Mincore {
			g.t.flags |= tgMincore
		}
		know(g)
		out[i].Target = g
		list, of, targets = append(list, &filing{Target: g, sm: f.Sample, prot: f.Prot}), append(of, i), append(targets, g)
	}
	e.insert(targets...)
	e.mu.Unlock()
	e.armFiles(opPlace, list, guard, placed)
	var failed, parts []*Target
	for i, f := range list {
		switch out[of[i]].Err = f.err; {
		case f.err == nil:
		case f.Since != 0:
			parts = append(parts, f.Target)
		default:
			failed = append(failed, f.Target)
			out[of[i]].Target = nil
		}
	}
	if len(parts) > 0 {
		placed(parts, 0)
	}
	e.removeFailed(failed)
}

// WithoutGuards is for tests: as on a kernel that has no guard markers.
var WithoutGuards bool

// armFiles takes the access to the blocks of their samples away, of as many files at once as fit in a stop of the other threads.
// armed is told of those of one stop. The errors are in the list.
func (e *Engine) armFiles(op uint32, list []*filing, guard Guard, armed func(done []*Target, took time.Duration)) {
	rest := make([]*filing, 0, len(list))
	blind := e.blind()
	for _, f := range list {
		if f.err = blind; blind == nil {
			f.before = f.t.sample
			f.bitmap, f.err = f.sm.bitmap(f.t)
		}
		if f.err == nil {
			rest = append(rest, f)
		}
	}
	for len(rest) > 0 {
		part := rest[:min(len(rest), cutsMost)]
		cuts := make([]cutting, len(part))
		for i, f := range part {
			cuts[i] = f.cutting(0)
			cuts[i].sample, cuts[i].blockShift, cuts[i].prot, cuts[i].cursor = f.bitmap, uintptr(f.sm.Shift), uint32(f.prot), f.cursor
		}
		e.op.Lock()
		took, worked, err := e.cutAll(op, part[0].Target, cuts, guard)
		n := 0
		var done []*Target
		for i, f := range part {
			c := &cuts[i]
			if f.err = err; err == nil {
				if c.done == 0 && c.cursor == f.cursor {
					break // not come to
				}
				if f.err = c.err(); f.err == nil && f.cursor == 0 {
					f.Since = time.Duration(c.armed)
				}
				if f.err == nil && c.done == 0 {
					f.cursor = c.cursor
					break
				}
			}
			n++
			if e.settle(op, f); f.err == nil {
				done = append(done, f.Target)
			}
		}
		e.op.Unlock()
		if len(done) > 0 {
			armed(done, took)
		}
		if rest = rest[n:]; len(rest) > 0 && err == nil {
			e.between(rest[0].Target, worked)
		}
	}
}

// settle ends the arming of a file. The caller holds op.
func (e *Engine) settle(op uint32, f *filing) {
	if f.err != nil && op == opPlace {
		f.t.setStates(f.Lo+f.cursor, f.Hi, gOpen) // this is not armed
	}
	f.freeOther(f.before, f.bitmap)
}

// newProtectedArena is NewArena by the access. Fresh memory holds nothing that markers could take the place of.
func (e *Engine) newProtectedArena(r *Region, lo, length, granule uintptr, lock bool, know func(*Target)) (*Target, error) {
	const access = unix.PROT_READ | unix.PROT_WRITE
	protect := func(prot uintptr) error {
		if _, _, n := unix.Syscall(unix.SYS_MPROTECT, lo, length, prot); n != 0 {
			return fmt.Errorf("mprotect: %w", n)
		}
		return nil
	}
	// First: so what the system does not commit to is refused here, and not at a touch (vm.overcommit_memory).
	if err := protect(access); err != nil {
		return nil, err
	}
	flags := uint32(tgAnonymous | tgGuard)
	marked := false
	if length <= guardMost && !WithoutGuards {
		_, _, n := unix.Syscall(unix.SYS_MADVISE, lo, length, madvGuardInstall)
		marked = n == 0
	}
	if !marked {
		unix.Syscall(unix.SYS_MADVISE, lo, length, madvGuardRemove) // nobody knows how far it came
		flags = tgAnonymous | tgNone
		if err := protect(unix.PROT_NONE); err != nil {
			return nil, err
		}
	}
	if lock {
		if err := lockOnFault(lo, length); err != nil {
			return nil, err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	g, err := e.newTarget(r, lo, lo+length, granule, 0, 0)
	if err != nil {
		return nil, err
	}
	g.t.kind, g.t.prot, g.t.flags = kindFile, access, flags
	know(g)
	e.insert(g)
	g.Since = Now()
	return g, nil
}

// Protected reports whether the access to a target is taken away, so that its mapping is in place also where it is armed.
func (g *Target) Protected() bool { return g.t.kind == kindFile }

// Rightless reports whether the list of mappings may show what is armed without its rights.
func (g *Target) Rightless() bool { return g.t.kind == kindFile && g.t.flags&tgNone != 0 }

// Given tells that the list of mappings shows access to [lo, hi) of a rightless target, and returns how many of its
// granules that makes plain without a touch: their owner has called mprotect. What has a guard marker is armed whatever
// its rights. Nothing may have been armed since the list was read.
func (g *Target) Given(lo, hi uintptr) (granules int) {
	if g.t.flags&tgGuard == 0 {
		granules = g.open(lo, hi)
	} else if err := eachPageOf(uffd.PageIsGuard, lo, hi-lo, func(from, to uintptr) bool {
		granules += g.open(lo, from)
		lo = to
		return true
	}); err == nil { // else the rest of it cannot be told
		granules += g.open(lo, hi)
	}
	raw.Add64(&at[counters](g.t.counters).widened, uint64(granules))
	return granules
}

// open opens the armed granules that lie within a range of plain memory, and returns how many they are.
func (g *Target) open(lo, hi uintptr) (granules int) {
	if lo >= hi {
		return 0
	}
	for i := g.t.granule(lo); i <= g.t.granule(hi-1); i++ {
		if raw.Load32(g.t.state(i)) != gArmed {
			continue
		}
		// Of a granule that reaches beyond, the rest is armed still.
		if addr, length := g.t.span(i, 1); addr >= lo && addr+length <= hi && raw.Cas32(g.t.state(i), gArmed, gOpen) {
			granules++
		}
	}
	return granules
}

// changeAccess does the command for a target of a file, from offset command.cursor on, until cutSlice is over.
//
//go:nosplit
//go:norace
//go:nocheckptr
func changeAccess(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	t := at[target](c.target)
	arming := c.op == opPlace || c.op == opRearm
	from, limit := t.lo+c.cursor, raw.Nanotime()+cutSlice
	if c.cursor = 0; c.op == opDisarm {
		from = max(from, uintptr(t.plain))
	}
	if arming {
		c.armed = raw.Nanotime()
		raw.Store64(&t.plain, 0)
		t.sample, t.blockShift, t.prot = c.sample, c.blockShift, c.prot
	}
	next, step, holes := from, uintptr(armStep), c.holes
	l := &c.line
	for next < t.hi && c.cursor == 0 && c.status == statusOK && s.lineFrom(w, l, next) {
		if arming && (l.Lo > next || !l.isFile(c, t) || c.prot == 0 || l.Prot != 0 && l.Prot != c.prot) {
			c.status = statusGone
			break
		}
		if l.Lo >= t.hi {
			break
		}
		lo, hi := max(l.Lo, next), min(l.Hi, t.hi)
		if next = hi; !l.isFile(c, t) {
			c.holes++
			continue
		}
		for ; lo < hi; lo = next {
			next = min(hi, t.base+(t.granule(lo)+max(step>>t.shift, 1))<<t.shift)
			w.carry.dst, w.carry.length, w.carry.flags = lo, next-lo, uint64(l.Prot)
			began := raw.Nanotime()
			if deep(accessPiece, arg); c.status != statusOK {
				next = lo
				break
			}
			now := raw.Nanotime()
			if now-began < cutSlice/32 {
				step *= 2 // it holds few pages
			}
			// Not within a granule: one that is armed in two parts would be seen twice.
			if now > limit && next < t.hi && (next-t.base)&(1<<t.shift-1) == 0 {
				c.cursor = next - t.lo
				break
			}
		}
		if c.op == opDisarm && next == t.hi && l.Hi > t.hi && t.flags&tgAnonymous == 0 && t.taken(l.Prot) && raw.Load32(t.state(t.granule(t.hi-1))) == gArmed && s.find(t.hi) == nil {
			s.giveBack(w, t, t.hi, l.Hi-t.hi, l.Prot) // its owner has grown it in place
		}
	}
	switch {
	case arming && c.status == statusOK && c.cursor == 0 && next < t.hi:
		c.status = statusGone
		fallthrough
	case c.op == opPlace && c.status != statusOK && next > from:
		s.giveBack(w, t, from, next-from, 0) // it is forgotten from here on
	case c.op == opDisarm:
		if c.status == statusOK && c.cursor == 0 {
			next = t.hi
		}
		raw.Store64(&t.plain, uint64(next))
		if c.holes > holes {
			deep(liftMoved, arg)
		}
	case c.op == opRelease && next > from:
		s.opened(c, t, from, next)
	}
}

// opened notes that what was armed in [lo, hi) has its access back, but for what the command's sample keeps. Only now: a
// granule may be a part of several mappings.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) opened(c *command, t *target, lo, hi uintptr) {
	for lo < hi {
		end, stays := c.run(t, lo, hi)
		if !stays {
			t.setStates(lo, end, gOpen)
		}
		lo = end
	}
}

// accessPiece does the command for worker.carry.dst, a piece of one mapping with the rights worker.carry.flags.
//
//go:nosplit
//go:norace
//go:nocheckptr
func accessPiece(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	t := at[target](c.target)
	lo, hi, prot := w.carry.dst, w.carry.dst+w.carry.length, uint32(w.carry.flags)
	arming := c.op == opPlace || c.op == opRearm
	if arming && prot == 0 || !arming && !t.taken(prot) {
		return // nothing to take away, which may be its owner's doing; or to give back
	}
	for end := lo; lo < hi; lo = end {
		if !arming {
			armed := false
			if end, armed = s.armedRun(w, c, t, lo, hi); armed {
				if e := s.giveBack(w, t, lo, end-lo, prot); e != 0 && !s.mappedAnew(w, lo, end-lo, prot) {
					c.fail(w.carry.call, e)
					return
				}
			}
			continue
		}
		yes := false
		if end, yes = t.run(lo, hi); !yes {
			if c.op == opPlace {
				t.setStates(lo, end, gOpen)
			}
			continue
		}
		if c.op == opRearm {
			t.setArmed(lo, end) // before: a child that is forked meanwhile opens what is armed
		}
		if e := s.takeAway(w, t, lo, end-lo); e != 0 {
			t.setStates(lo, end, gOpen)
			c.fail(w.carry.call, e)
			return
		}
	}
}

// mappedAnew maps a piece of the command's target, which has such rights, anew by the file's path.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) mappedAnew(w *worker, addr, length uintptr, prot uint32) bool {
	c := &w.carry
	if prot == 0 {
		prot = at[target](s.cmd.target).prot
	}
	c.target, c.src, c.dst, c.length, c.flags = s.cmd.target, addr, addr, length, uint64(prot)
	deep(refile, uintptr(unsafe.Pointer(w)))
	return c.ok
}

// takeAway takes the access to a piece of one mapping away.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) takeAway(w *worker, t *target, addr, length uintptr) (errno uintptr) {
	if t.flags&tgAnonymous != 0 {
		t.flags |= tgNone // markers would take the place of what it holds
	} else if t.flags&tgGuard != 0 {
		if raw.Errno(raw.Syscall(unix.SYS_MADVISE, addr, length, madvGuardInstall, 0, 0, 0)) == 0 {
			return 0
		}
		// Nobody knows how far it came.
		w.carry.call = callGuard
		if e := raw.Errno(raw.Syscall(unix.SYS_MADVISE, addr, length, madvGuardRemove, 0, 0, 0)); e != 0 && unix.Errno(e) != unix.EINVAL {
			return e
		}
		if t.flags |= tgNone; s.cmd.op == opPlace && addr == t.lo {
			t.flags &^= tgGuard // nothing of it has any
		}
	}
	w.carry.call = callProtect
	errno = raw.Errno(raw.Syscall(unix.SYS_MPROTECT, addr, length, unix.PROT_NONE, 0, 0, 0))
	if errno == 0 && t.flags&(tgAnonymous|tgGuard) == tgAnonymous|tgGuard {
		w.carry.call = callGuard
		errno = raw.Errno(raw.Syscall(unix.SYS_MADVISE, addr, length, madvGuardRemove, 0, 0, 0))
	}
	return errno
}

// setArmed arms granules. It writes to as few of the states as it can: those of what was never touched take no memory.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *target) setArmed(lo, hi uintptr) {
	for g := t.granule(lo); g <= t.granule(hi-1); g++ {
		if p := t.state(g); raw.Load32(p) != gArmed {
			raw.Store32(p, gArmed)
		}
	}
}

// armedRun returns how far from lo on, up to hi, granules are alike, and whether they are armed and to be given back.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) armedRun(w *worker, c *command, t *target, lo, hi uintptr) (end uintptr, armed bool) {
	stays := false
	if c.op == opRelease {
		if hi, stays = c.run(t, lo, hi); stays {
			return hi, false
		}
	}
	if c.line.Prot != 0 {
		return hi, true // of a guard marker there is no doubt, and where none is removing it does nothing
	}
	// What has rights is a line of its own. So all of this one is armed, but for what its owner has taken the rights from, too.
	g := t.granule(lo)
	armed = raw.Load32(t.state(g)) == gArmed
	for end = lo; end < hi; g++ {
		if p := uintptr(unsafe.Pointer(t.state(g))); armed && p&(s.pageSize-1) == 0 {
			// States that were never written to have no page, and get none.
			if n := s.untouched(w, p); n > 0 {
				g += n*s.pageSize/4 - 1
				end, _ = t.span(min(g, t.granules()-1)+1, 0)
				continue
			}
		}
		if (raw.Load32(t.state(g)) == gArmed) != armed {
			break
		}
		addr, length := t.span(g, 1)
		end = addr + length
	}
	return min(end, hi), armed
}

// untouched returns how many pages from p on, up to some, are not in memory.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) untouched(w *worker, p uintptr) (n uintptr) {
	const most = 256
	v := uintptr(unsafe.Pointer(&w.vec))
	if raw.Errno(raw.Syscall(unix.SYS_MINCORE, p, most*s.pageSize, v, 0, 0, 0)) != 0 {
		return 0 // the end of them, or refused
	}
	for n < most && *at[uint8](v + n)&1 == 0 {
		n++
	}
	return n
}

// liftMoved gives mappings their access back that their owner has moved out of the command's target, armed as they were.
//
//go:nosplit
//go:norace
//go:nocheckptr
func liftMoved(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	t := at[target](c.target)
	n := s.readMaps(w)
	l := &c.line
	for p := s.text; p < s.text+n; {
		_, p = l.ParseAt(p, s.text+n)
		if !l.Shared || l.Inode != c.inode || l.Dev != c.dev || !t.taken(l.Prot) || s.find(l.Lo) != nil || s.find(l.Hi-1) != nil {
			continue
		}
		from, to := max(l.Offset, uint64(t.offset)), min(l.Offset+uint64(l.Hi-l.Lo), uint64(t.offset)+uint64(t.hi-t.lo))
		for o := from; o < to; o += uint64(s.pageSize) {
			if raw.Load32(t.state(t.granule(t.lo+uintptr(o-uint64(t.offset))))) == gArmed {
				s.giveBack(w, t, l.Lo, l.Hi-l.Lo, l.Prot)
				break
			}
		}
	}
}
