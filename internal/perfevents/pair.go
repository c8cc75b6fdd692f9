package perfevents

import (
	"cmp"
	"slices"
)

// Fault is one page fault as the kernel counted it.
type Fault struct {
	Time    int64 // CLOCK_MONOTONIC in ns when the kernel began with it first, or, where that is not known, when the page was there
	End     int64 // when the page was there; when the kernel began with it, where Source is Interrupted
	Known   Known
	Kind    Kind
	Thread  uint32
	Address uintptr
	PC      uintptr   // of the instruction
	SP      uintptr   // stack pointer, 0 where it is not known
	G       uintptr   // the register in which Go's code keeps its g; 0 where it is not known
	Return  uintptr   // what a function without a frame returns to: the word at SP, or the link register
	Stack   []uintptr // innermost first, the instruction and then return addresses; nil without Config.Stacks
}

// Kind is what the kernel says of a fault.
type Kind uint8

const (
	Minor Kind = iota
	Major      // the kernel has waited for storage, or for somebody who did
	// Interrupted: a signal reached the thread while it waited, and the kernel let it run the handler, and gave the page later, without a
	// fault that it counts: a neighbour's fault has mapped this page too. Or the fault was an error, and the thread got SIGSEGV or SIGBUS.
	Interrupted
)

// Known is how well the wait of a fault is known.
type Known uint8

const (
	Measured Known = iota
	// AtMost: a signal interrupted it, and the thread made it again after its handler. So the wait has the handler's time in it, and
	// the kernel counts the fault as minor if the page was there by then, whether it was read from storage or not.
	AtMost
	// Unmeasured: the record of its begin was lost, or the thread was not observed yet; or it was Interrupted.
	Unmeasured
)

// Mapped is a mapping that the process has made (mmap(2)).
type Mapped struct {
	Time       int64 // CLOCK_MONOTONIC, ns
	Lo, Hi     uintptr
	Offset     int64
	Dev, Inode uint64 // Dev is major<<32 | minor
	Prot       int
	Shared     bool
	Path       string
}

// began is a fault that has begun.
type began struct {
	rawRecord
	first int64 // when it did so first
	again bool  // it was interrupted
}

// place is where a fault was made, and by which goroutine: who was interrupted makes it again there, perhaps on another thread.
type place struct {
	page, ip uint64
	g        uintptr
}

func (b *began) place() place {
	_, g, _ := registers(&b.rawRecord)
	return place{b.address &^ 4095, b.ip, g} // of the smallest pages that there are
}

// ended is the last fault of a thread, to know its double.
type ended struct {
	address uint64
	kind    kind
	id      uint64
}

// pairer makes faults of records, which it gets by time for each thread.
type pairer struct {
	open   map[uint32]*began  // by thread
	of     map[uintptr]uint32 // the threads of those, by g
	ended  map[uint32]ended
	broken map[place]*began // interrupted
}

const (
	// rememberMost bounds what is remembered of threads, of which some end in a fault.
	rememberMost = 1 << 14
	// doubled is within what time two records are of one fault: the kernel writes them one right after the other.
	doubled = 10_000
	// forgotten is when who was interrupted does not make its fault again any more.
	forgotten = 2_000_000_000
)

// pair takes a record, and returns a fault that is complete with it.
//
// A thread that another one made while the other's events were being opened may be observed twice, by those that it inherited
// and by its own. Then each record of it comes twice, one right after the other and by different events.
func (p *pairer) pair(r *rawRecord) (f Fault, ok bool) {
	if p.open == nil || len(p.open) > rememberMost || len(p.ended) > rememberMost || len(p.broken) > rememberMost {
		p.open, p.of, p.ended, p.broken = make(map[uint32]*began), make(map[uintptr]uint32), make(map[uint32]ended), make(map[place]*began)
	}
	before := p.open[r.tid]
	if r.kind == begin {
		b := &began{rawRecord: *r, first: r.time}
		at := b.place()
		if before != nil {
			if before.id != r.id && before.place() == at && r.time-before.time < doubled {
				return f, false
			}
			p.interrupt(before)
		}
		if tid, ok := p.of[at.g]; ok { // this goroutine has left that thread
			p.interrupt(p.open[tid])
		}
		if o := p.broken[at]; o != nil {
			b.first, b.again = o.first, true
			delete(p.broken, at)
		}
		if p.open[r.tid] = b; at.g != 0 {
			p.of[at.g] = r.tid
		}
		delete(p.ended, r.tid)
		return f, false
	}
	if e, ok := p.ended[r.tid]; ok && e.kind == r.kind && e.address == r.address && e.id != r.id {
		return f, false
	}
	if before != nil {
		p.close(before)
	} else {
		before = p.taken(r)
	}
	p.ended[r.tid] = ended{r.address, r.kind, r.id}
	f = Fault{Time: r.time, End: r.time, Known: Unmeasured, Thread: r.tid, Address: uintptr(r.address), PC: uintptr(r.ip)}
	if r.kind == major {
		f.Kind = Major
	}
	if before != nil && before.address&^4095 == r.address&^4095 && before.first <= r.time {
		f.takes(before)
		f.Time, f.Known = before.first, Measured
		if before.again {
			f.Known = AtMost
		}
	}
	return f, true
}

// close forgets that a thread is in a fault.
func (p *pairer) close(b *began) {
	delete(p.open, b.tid)
	if g := b.place().g; p.of[g] == b.tid {
		delete(p.of, g)
	}
}

// interrupt takes over that a thread is not in a fault any more, of which no end was seen.
func (p *pairer) interrupt(b *began) {
	p.close(b)
	p.broken[b.place()] = b
}

// taken returns the begin of a fault that was taken for interrupted and was not: another thread has the same in its register, which
// holds no g where it runs code of C.
func (p *pairer) taken(r *rawRecord) *began {
	for at, b := range p.broken {
		if b.tid == r.tid && at.page == r.address&^4095 {
			delete(p.broken, at)
			return b
		}
	}
	return nil
}

// long lists the threads that seem to be in a fault since so long ago that one that was interrupted would be forgotten.
func (p *pairer) long(now int64) (list []uint32) {
	for tid, b := range p.open {
		if now-b.time >= forgotten {
			list = append(list, tid)
		}
	}
	return list
}

// takes takes over what the record of a begin tells.
func (f *Fault) takes(b *began) {
	f.SP, f.G, f.Return = registers(&b.rawRecord)
	f.Stack = b.stack
}

// interrupted returns those that were interrupted and were not made again.
func (p *pairer) interrupted(now int64) (list []Fault) {
	for at, b := range p.broken {
		if now-b.time < forgotten {
			continue
		}
		delete(p.broken, at)
		f := Fault{Time: b.first, End: b.time, Known: Unmeasured, Kind: Interrupted, Thread: b.tid, Address: uintptr(b.address), PC: uintptr(b.ip)}
		f.takes(b)
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b Fault) int { return cmp.Compare(a.End, b.End) })
	return list
}

// waiting counts the threads that are in a fault now that lasts longer than so many ns, and the faults that were interrupted.
func (p *pairer) waiting(now, longer int64, has func(address uintptr) bool) (threads, broken int) {
	for _, b := range p.open {
		if now-b.time > longer && has(uintptr(b.address)) {
			threads++
		}
	}
	for _, b := range p.broken {
		if has(uintptr(b.address)) {
			broken++
		}
	}
	return threads, broken
}

// byTime sorts what several buffers had. Those of one thread stay in their order.
func byTime(list []rawRecord) {
	slices.SortStableFunc(list, func(a, b rawRecord) int { return cmp.Compare(a.time, b.time) })
}
