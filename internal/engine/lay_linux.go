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

// laying is a target over which a placeholder is to be laid.
type laying struct {
	*Target
	sm      Sample
	prot    int
	onFault bool
	bitmap  uintptr
	done    bool
	err     error // why it is not
}

// cutsMost is how many targets one command can go over.
const cutsMost = 512

// lay makes placeholders, registers them and has them moved over the targets, as many at once as fit. done is told of those that
// one stop has laid, and for how long it was.
func (e *Engine) lay(op uint32, all []*laying, guard Guard, done func(part []*laying, took time.Duration)) {
	list := make([]*laying, 0, len(all))
	for _, l := range all {
		if l.err = e.prepare(l); l.err == nil {
			list = append(list, l)
		}
	}
	for size := 64; len(list) > 0; {
		n := min(len(list), size)
		rest, took, worked, err := e.layNew(op, list[:n], guard)
		var part []*laying
		for _, l := range list[:n] {
			if l.done {
				e.msync(l)
				part = append(part, l)
			}
		}
		done(part, took)
		if size = min(cutsMost, 2*n); len(rest) > 0 {
			size = max(n-len(rest), 1)
		}
		list = append(rest, list[n:]...)
		if err != nil {
			for _, l := range list {
				l.err = err
				freeOffHeap(l.bitmap, sampleLen)
			}
			return
		}
		if len(list) > 0 {
			e.between(list[0].Target, worked)
		}
	}
}

// prepare makes a target ready to be covered.
func (e *Engine) prepare(l *laying) (err error) {
	if err := e.blind(); err != nil {
		return err
	}
	l.Target.onFault = 0
	if l.onFault {
		if err := e.hold(l.Target); err != nil {
			return err
		}
		l.Target.onFault = 1
	}
	l.bitmap, err = l.sm.bitmap(l.t)
	return err
}

// msync writes back what is dirty: an msync by the owner does not reach what a placeholder covers.
func (e *Engine) msync(l *laying) {
	if l.prot&unix.PROT_WRITE == 0 {
		return
	}
	if _, _, n := unix.Syscall(unix.SYS_MSYNC, l.t.alias, l.Hi-l.Lo, unix.MS_SYNC); n != 0 {
		// The range is armed all the same; the failure is shown with the engine's errors.
		raw.Add64(&e.s.errors, 1)
		raw.Store64(&e.s.lastErr, uint64(n))
	}
}

// layNew holds op from before the placeholders exist: where one is made, a target may have been that its owner
// unmapped. When that one is given back meanwhile, its file would be put over what looks like its own placeholder. rest is what
// it did not come to.
func (e *Engine) layNew(op uint32, all []*laying, guard Guard) (rest []*laying, took, worked time.Duration, err error) {
	e.op.Lock()
	defer e.op.Unlock()
	list := make([]*laying, 0, len(all))
	for _, l := range all {
		if l.lost.Load() { // it may be freed already
			l.err = ErrGone
			freeOffHeap(l.bitmap, sampleLen)
			continue
		}
		list = append(list, l)
	}
	if len(list) == 0 {
		return nil, 0, 0, nil
	}
	covers, err := e.placeholders(list)
	if err != nil {
		return list, 0, 0, err
	}
	cuts := make([]cutting, len(list))
	before := make([]uintptr, len(list))
	for i, l := range list {
		cuts[i], before[i] = l.cutting(covers[i]), l.t.sample
		cuts[i].sample, cuts[i].blockShift, cuts[i].prot, cuts[i].onFault = l.bitmap, uintptr(l.sm.Shift), uint32(l.prot), l.Target.onFault
	}
	over := e.moves(covers[0], covers[len(covers)-1]+list[len(list)-1].Hi-list[len(list)-1].Lo-covers[0])
	took, worked, err = e.cutAll(op, list[0].Target, cuts, guard)
	over()
	for i, l := range list {
		c := &cuts[i]
		if left := l.Hi - l.Lo - c.moved; left > 0 {
			freeOffHeap(covers[i]+c.moved, left)
		}
		if c.done == 0 {
			rest = append(rest, l)
			continue
		}
		l.freeOther(before[i], l.bitmap)
		if l.err = c.err(); l.err == nil {
			l.done, l.Since = true, time.Duration(c.armed)
			if op == opPlace {
				raw.Add64(&e.s.maps, mapsOfTarget)
			}
		}
	}
	return rest, took, worked, err
}

// placeholders map registered memory that is never filled, as long as each of the targets. Whatever the process asks the kernel to
// fill (mlockall, MADV_POPULATE_READ): it has no access until it is registered, which the surgeon gives it before it comes into place.
// From then on the engine alone fills it. It is of /dev/zero, so that the list of mappings tells it from other memory, see
// IsPlaceholder.
func (e *Engine) placeholders(list []*laying) (covers []uintptr, err error) {
	length := uintptr(0)
	for _, l := range list {
		length += l.Hi - l.Lo
	}
	lo, err := raw.MapZero(length)
	if err != nil { // no /dev, or it may not be opened
		lo, _, err = raw.Map(length, unix.PROT_NONE)
	}
	if err != nil {
		return nil, fmt.Errorf("map placeholders: %w", err)
	}
	for at, i := lo, 0; i < len(list); i++ {
		covers = append(covers, at)
		at += list[i].Hi - list[i].Lo
	}
	if err := e.preparePlaceholders(list, covers, lo, length); err != nil {
		raw.Unmap(lo, length)
		return nil, err
	}
	return covers, nil
}

func (e *Engine) preparePlaceholders(list []*laying, covers []uintptr, lo, length uintptr) error {
	// EINVAL: a kernel without huge pages does not know the advice.
	if err := advise(lo, length, unix.MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE"); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("prepare placeholders: %w", err)
	}
	// A child that forks without sharing memory would read zeros: rather nothing than that.
	if err := advise(lo, length, unix.MADV_DONTFORK, "MADV_DONTFORK"); err != nil {
		return fmt.Errorf("prepare placeholders: %w", err)
	}
	if _, err := e.overlay.Register(uffd.Range{Start: uffd.Addr(lo), End: uffd.Addr(lo + length)}, uffd.ModeMissing); err != nil {
		return err
	}
	for i, l := range list {
		// Two mappings instead of one, see place.
		if half := (l.Hi - l.Lo) / 2 &^ (e.s.pageSize - 1); half != 0 {
			if err := advise(covers[i], half, unix.MADV_DONTDUMP, "MADV_DONTDUMP"); err != nil {
				return fmt.Errorf("prepare placeholders: %w", err)
			}
		}
	}
	return vacant(lo, length, e.s.pageSize)
}

// cutting is one target of a command that goes over several, see cutAll.
type cutting struct {
	target, cover      uintptr
	dev, inode         uint64
	sample, blockShift uintptr
	prot, onFault      uint32
	cursor             uintptr // also an answer
	// Answers.
	done, status, errno uint32
	call, moved         uintptr
	armed               int64
}

func (g *Target) cutting(cover uintptr) cutting {
	return cutting{target: uintptr(unsafe.Pointer(g.t)), cover: cover, dev: g.dev, inode: g.inode}
}

// err says why it was not done.
func (c *cutting) err() error { return answerError(c.status, c.errno, c.call) }

// cutAll has the surgeon do one operation on several targets, which takes over what it answers of each. It may not come to all of
// them. The caller holds op.
func (e *Engine) cutAll(op uint32, first *Target, list []cutting, guard Guard) (took, worked time.Duration, err error) {
	items := unsafe.Slice(at[cutting](e.s.cmd.items), len(list))
	copy(items, list)
	e.cutting = len(list)
	took, err = e.commandHeld(op, first, 0, guard, func(c *command) { worked = time.Duration(c.worked) })
	e.cutting = 0
	copy(list, items)
	return took, worked, err
}

// cutAll does the command's operation on one target after the other, until its slice is over. It stops in front of one that
// is busy; the first one has the command busy.
//
//go:nosplit
//go:norace
//go:nocheckptr
func cutAll(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	c := &s.cmd
	begun := raw.Nanotime()
	for c.at = 0; c.at < c.count; c.at++ {
		if c.at > 0 && raw.Nanotime()-begun > c.slice {
			break
		}
		i := at[cutting](c.items + c.at*unsafe.Sizeof(cutting{}))
		c.target, c.cover, c.dev, c.inode = i.target, i.cover, i.dev, i.inode
		c.sample, c.blockShift, c.prot, c.onFault, c.cursor = i.sample, i.blockShift, i.prot, i.onFault, i.cursor
		c.errno, c.call, c.moved = 0, 0, 0
		s.freeze(w, at[target](c.target), cut, c.deadline)
		if c.status == statusBusy {
			if c.at > 0 {
				c.status = statusOK
			}
			break
		}
		i.status, i.errno, i.call, i.moved, i.armed, i.cursor = c.status, c.errno, c.call, c.moved, c.armed, c.cursor
		c.status = statusOK
		if i.status == statusOK && c.cursor != 0 {
			break // it is so large that it takes more than one command
		}
		i.done = 1
	}
	c.worked = raw.Nanotime() - begun
}
