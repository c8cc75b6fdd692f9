//go:build linux && (amd64 || arm64)

package engine

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
	"golang.org/x/sys/unix"
)

// Errors of operations on targets.
var (
	ErrBusy = errors.New("threads could not be stopped in time")
	ErrGone = errors.New("the mapping changed")
	// ErrFilled: memory that nobody but the engine may fill held pages before it was armed.
	ErrFilled = errors.New("the kernel or another process has filled memory that was not to be used yet: try again")
	// ErrMaps: the process would have too many mappings.
	ErrMaps = errors.New("too many mappings to observe one more")
	ErrFull = fmt.Errorf("more than %d memory ranges are armed", maxTargets)
)

// Region holds the totals of one region, over all of its targets.
type Region struct {
	number uint32
	c      *counters
	stops  atomic.Int64 // ns for which its present operation may still stop the other threads, see Begin

	targets int  // whose numbers are not free again; guarded by the engine's goneMu
	dropped bool // likewise
}

// Totals are what the hot path counted for a region.
type Totals struct{ Faults, Messages, CoTouch, Widened, Errors, Left, Discarded uint64 }

// NewRegion returns the counters of a region. They live until DropRegion, or as long as the engine.
func (e *Engine) NewRegion(number uint32) (*Region, error) {
	if err := e.blind(); err != nil {
		return nil, err
	}
	p, err := newOffHeap(countersLen)
	if err != nil {
		return nil, err
	}
	r := &Region{number: number, c: at[counters](p)}
	e.goneMu.Lock()
	e.counted[r] = true
	e.goneMu.Unlock()
	e.Begin(r, 1)
	return r, nil
}

// DropRegion frees the counters of a region whose targets are, or will be, removed: with the last of them.
func (e *Engine) DropRegion(r *Region) {
	e.goneMu.Lock()
	defer e.goneMu.Unlock()
	r.dropped = true
	e.freeCounters(r)
}

// freeCounters frees what a region has once nobody needs it. The caller holds goneMu.
func (e *Engine) freeCounters(r *Region) {
	if r.dropped && r.targets == 0 && e.counted[r] {
		delete(e.counted, r)
		freeOffHeap(uintptr(unsafe.Pointer(r.c)), countersLen)
	}
}

// Totals reads the counters.
func (r *Region) Totals() Totals {
	faults := raw.Load64(&r.c.faults)
	return Totals{
		Faults: faults, Messages: faults + raw.Load64(&r.c.repeats), CoTouch: raw.Load64(&r.c.cotouch),
		Widened: raw.Load64(&r.c.widened), Errors: raw.Load64(&r.c.errors), Left: raw.Load64(&r.c.left),
		Discarded: raw.Load64(&r.c.discarded),
	}
}

// Target is one armed address range.
type Target struct {
	Lo, Hi  uintptr
	Offset  int64 // region offset of Lo
	Granule uintptr
	Region  uint32
	Number  uint32
	Since   time.Duration // CLOCK_MONOTONIC when it was armed

	t          *target
	of         *Region
	dev, inode uint64
	alias      uintptr // see target.alias
	sample     uintptr // see command.sample
	blockShift uintptr
	cursor     uintptr     // see command.cursor
	onFault    uint32      // see command.onFault
	lost       atomic.Bool // given back, and not to be touched by the surgeon any more; set while op is held

	merging          sync.WaitGroup // of the layers, in the background
	oldMem, youngMem offHeap        // that the layers lie in
}

// Bytes is the memory of an arena.
func (g *Target) Bytes() []byte { return unsafe.Slice(at[byte](g.Lo), g.Hi-g.Lo) }

// Alias is the engine's own second mapping of a covered file range, or 0.
func (g *Target) Alias() uintptr { return g.t.alias }

// Prot is the protection that the mapping of a covered file had when it was armed first.
func (g *Target) Prot() int { return int(g.t.prot) }

// Layered reports whether a target was armed with its contents.
func (g *Target) Layered() bool { return g.oldMem.p != 0 }

// Census counts the granules of a range by their state.
type Census struct{ Armed, Open, InFlight int }

// Census counts the granules that [lo, hi) has a part of.
func (g *Target) Census(lo, hi uintptr) (c Census) {
	for i := g.t.granule(lo); i <= g.t.granule(hi-1); i++ {
		switch g.stateOf(i) {
		case gArmed:
			c.Armed++
		case gOpen:
			c.Open++
		default:
			c.InFlight++
		}
	}
	return c
}

// FirstArmed returns the first granule that [lo, hi) has a part of and that waits for its first
// touch.
func (g *Target) FirstArmed(lo, hi uintptr) (armedLo, armedHi uintptr, ok bool) {
	for i := g.t.granule(lo); i <= g.t.granule(hi-1); i++ {
		if g.stateOf(i) == gArmed {
			addr, length := g.t.span(i, 1)
			return addr, addr + length, true
		}
	}
	return 0, 0, false
}

func (g *Target) stateOf(i uintptr) uint32 {
	if addr, length := g.t.span(i, 1); g.t.given(addr + length - 1) {
		return gOpen
	}
	return raw.Load32(g.t.state(i))
}

// newTarget fills the next slot. The caller holds mu, and has made so many that are not inserted yet.
func (e *Engine) newTarget(r *Region, lo, hi, granule uintptr, offset int64, made int) (*Target, error) {
	if len(e.targets)+made >= maxTargets {
		return nil, ErrFull
	}
	number, ok := e.freeNumber()
	if !ok {
		return nil, ErrFull
	}
	t := at[target](e.s.targetOf(number))
	*t = target{
		lo: lo, hi: hi, base: lo - uintptr(offset)&(granule-1), shift: uintptr(log2(granule)), offset: offset,
		counters: uintptr(unsafe.Pointer(r.c)), number: number, region: r.number,
	}
	var err error
	if t.states, err = newOffHeap(statesLen(t)); err != nil {
		e.goneMu.Lock()
		e.numbers = append(e.numbers, number)
		e.goneMu.Unlock()
		return nil, err
	}
	e.goneMu.Lock()
	r.targets++
	e.goneMu.Unlock()
	return &Target{Lo: lo, Hi: hi, Offset: offset, Granule: granule, Region: r.number, Number: number, t: t, of: r}, nil
}

// freeNumber returns a number whose slot nobody uses.
func (e *Engine) freeNumber() (number uint32, ok bool) {
	e.goneMu.Lock()
	defer e.goneMu.Unlock()
	if n := len(e.numbers); n > 0 {
		number, e.numbers = e.numbers[n-1], e.numbers[:n-1]
		return number, true
	}
	if e.number+1 >= targetSlots {
		return 0, false
	}
	e.number++
	return e.number, true
}

// goneTarget is one that was removed, and up to where the ring may hold records of it.
type goneTarget struct {
	*Target
	head uint64
}

// Recycle frees the numbers of removed targets that no record has any more, in the ring or beside it, and tells of each. It has one caller
// at a time, and Next none meanwhile.
func (e *Engine) Recycle(forgotten func(number uint32)) {
	e.goneMu.Lock()
	defer e.goneMu.Unlock()
	folded := e.Folded()
	e.gone = slices.DeleteFunc(e.gone, func(g goneTarget) bool {
		if g.head > folded || e.WaitsFor(func(target uint32) bool { return target == g.Number }) {
			return false
		}
		forgotten(g.Number)
		e.numbers = append(e.numbers, g.Number)
		g.of.targets--
		e.freeCounters(g.of)
		return true
	})
}

func log2(v uintptr) (n int) {
	for v > 1 {
		v >>= 1
		n++
	}
	return n
}

// NewArena maps fresh private memory and arms it. know is told of the target before its first fault. Where the process
// has asked for new memory to be locked (mlockall with MCL_FUTURE) each page is locked when it is touched, since the
// kernel would otherwise fill all of it, and nothing could be observed.
func (e *Engine) NewArena(r *Region, length, granule uintptr, know func(*Target)) (*Target, error) {
	lo, lock, err := raw.Map(length, unix.PROT_NONE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", length, err)
	}
	// A huge page would make one fault of 512. EINVAL: a kernel without them.
	if _, _, n := unix.Syscall(unix.SYS_MADVISE, lo, length, unix.MADV_NOHUGEPAGE); n != 0 && n != unix.EINVAL {
		raw.Unmap(lo, length)
		return nil, fmt.Errorf("madvise(MADV_NOHUGEPAGE): %w", n)
	}
	if e.s.without {
		g, err := e.newProtectedArena(r, lo, length, granule, lock, know)
		if err != nil {
			raw.Unmap(lo, length)
		}
		return g, err
	}
	g, err := e.add(r, lo, lo+length, granule, 0, 0, know)
	if err != nil {
		raw.Unmap(lo, length)
		return nil, err
	}
	if err := e.openArena(lo, length, lock); err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.remove(g)
		raw.Unmap(lo, length)
		return nil, err
	}
	return g, nil
}

// openArena gives registered memory access, and locks it.
func (e *Engine) openArena(lo, length uintptr, lock bool) error {
	if err := vacant(lo, length, e.s.pageSize); err != nil {
		return err
	}
	if _, _, n := unix.Syscall(unix.SYS_MPROTECT, lo, length, unix.PROT_READ|unix.PROT_WRITE); n != 0 {
		return fmt.Errorf("mprotect: %w", n)
	}
	if !lock {
		return nil
	}
	return lockOnFault(lo, length)
}

// lockOnFault locks an arena's pages as they are touched.
func lockOnFault(lo, length uintptr) error {
	if _, _, n := unix.Syscall(unix.SYS_MLOCK2, lo, length, unix.MLOCK_ONFAULT); n != 0 {
		return fmt.Errorf("%w: the process locks all of its new memory (mlockall with MCL_FUTURE), and %d bytes cannot be locked: raise RLIMIT_MEMLOCK, or choose a smaller arena: mlock2: %w", ErrLocked, length, n)
	}
	return nil
}

// add registers anonymous memory.
func (e *Engine) add(r *Region, lo, hi, granule uintptr, offset int64, flags uint32, know func(*Target)) (*Target, error) {
	if err := e.blind(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	g, err := e.newTarget(r, lo, hi, granule, offset, 0)
	if err != nil {
		return nil, err
	}
	g.t.kind, g.t.uffd, g.t.flags = kindArena, e.s.arenaFD, flags
	know(g)
	if flags&tgHeap != 0 {
		raw.Add32(&e.s.heaps, 1) // insert waits for readers that had not seen it
	}
	e.insert(g)
	g.Since = Now()
	whilePlacing(func() {
		_, err = e.arena.Register(uffd.Range{Start: uffd.Addr(lo), End: uffd.Addr(hi)}, uffd.ModeMissing)
	})
	if err != nil {
		e.remove(g)
		return nil, err
	}
	return g, nil
}

// RemoveArena gives the arena back to the kernel: nobody waits any more, and pages that were not
// touched are filled by the kernel from now on.
func (e *Engine) RemoveArena(g *Target) error {
	err := e.arena.Unregister(uffd.Range{Start: uffd.Addr(g.Lo), End: uffd.Addr(g.Hi)})
	if err != nil && !e.givenBack() {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(g)
	return nil
}

// insert publishes a table with more targets, ascending by address; older ones that they overlap are left out, since their
// memory is no longer theirs. The caller holds mu.
func (e *Engine) insert(list ...*Target) {
	all := make([]*Target, 0, len(e.targets)+len(list))
	for _, o := range e.targets {
		for len(list) > 0 && list[0].Lo < o.Lo {
			all, list = append(all, list[0]), list[1:]
		}
		if n := len(all); (len(list) == 0 || o.Hi <= list[0].Lo) && (n == 0 || all[n-1].Hi <= o.Lo) {
			all = append(all, o)
		}
	}
	e.targets = append(all, list...)
	e.publish()
}

// remove takes targets out of the table and frees their states once nobody uses them. The caller
// holds mu.
func (e *Engine) remove(list ...*Target) {
	gone := make(map[*Target]bool, len(list))
	for _, g := range list {
		gone[g] = true
	}
	e.targets = slices.DeleteFunc(e.targets, func(o *Target) bool { return gone[o] })
	e.publish()
	for _, g := range list {
		e.release(g)
	}
}

// release frees what a target has once nobody uses it. The caller holds mu.
func (e *Engine) release(g *Target) {
	for raw.Load32(&g.t.inflight) != 0 {
		if e.standing() {
			return // who stands still may go on any time: what it may use is never freed
		}
		time.Sleep(100 * time.Microsecond)
	}
	if g.t.flags&tgHeap != 0 {
		raw.Add32(&e.s.heaps, ^uint32(0))
	}
	if e.standing() {
		return
	}
	e.goneMu.Lock()
	e.gone = append(e.gone, goneTarget{g, e.Head()})
	e.goneMu.Unlock()
	freeOffHeap(g.t.states, statesLen(g.t))
	freeOffHeap(g.t.marks, marksLen(g.t, e.s.pageSize))
	freeOffHeap(g.t.sample, sampleLen)
	if g.t.alias != 0 {
		freeOffHeap(g.t.alias, g.Hi-g.Lo)
	}
}

// publish fills the spare table, makes it current and waits until no reader can hold the other.
func (e *Engine) publish() {
	p := e.tables[0]
	tab := at[table](p)
	tab.n = uint32(len(e.targets))
	for i, g := range e.targets {
		tab.ents[i] = uintptr(unsafe.Pointer(g.t))
	}
	raw.Store64(&e.s.table, uint64(p))
	for raw.Load32(&e.s.rescuing) != 0 {
		time.Sleep(100 * time.Microsecond) // the surgeon goes over the other one
	}
	e.tables[0], e.tables[1] = e.tables[1], e.tables[0]
	e.settleReaders()
}

// settleReaders waits until every reader has finished the message that it is at.
func (e *Engine) settleReaders() {
	settleBus()
	for _, i := range []int{0, 1, watchdogNumber} {
		r := at[worker](e.workers[i])
		p := raw.Load64(&r.progress)
		for raw.Load32(&r.busy) != 0 && raw.Load64(&r.progress) == p && !e.stands(i) {
			time.Sleep(20 * time.Microsecond)
		}
	}
}

// Now reads CLOCK_MONOTONIC.
func Now() time.Duration { return time.Duration(raw.Monotonic()) }
