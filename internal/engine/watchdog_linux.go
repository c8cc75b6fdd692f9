//go:build linux && (amd64 || arm64)

package engine

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
	"github.com/firsttouch/firsttouch/uffd"
)

// A thread of the engine can stand still: a debugger may hold it, or the kernel, while it waits for storage
// that does not answer. What it should resolve would then wait as long. So one more thread looks four times a second
// whether the others move. When one has not moved for two seconds of looks, although it has something to
// do, the watchdog does it in its place, without waiting for storage: the threads that wait go on. A time for
// which everything stood still, the watchdog too, does not count.
//
// Nothing is freed that a thread which stands still may use when it goes on (see remove), and it does not
// change mappings then (worker.relieved). Only between its look at that and the system call behind it, a
// few instructions, could it still put a granule of the file over what the application has mapped there
// meanwhile.

const (
	surgeonNumber  = 2
	clerkNumber    = 3
	watchdogNumber = 4
	firstDisk      = 5
	lookEvery      = 250 // ms
	looksMost      = 8   // without progress
)

// looks is what the watchdog remembers from one look to the next.
type looks struct {
	next    int64              // when a look counts again: those that are made to serve at once do not
	last    [maxWorkers]uint64 // progress
	same    [maxWorkers]uint32 // looks since it last changed while there was something to do
	read    uint64             // progress of all who read
	keeper  uint64             // of the keeper alone
	unread  uint32             // looks at which messages waited and nobody read
	unheld  uint32             // the same, since a reader last moved: none of them can have a lock still
	done    uint64             // progress of all disk threads
	queued  uint32             // looks at which jobs waited and none was done
	round   uint32             // of parking
	parking uint32             // looks for which that lasted
}

//go:nosplit
//go:norace
//go:nocheckptr
func watchdog(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	w.watches = 1
	for raw.Load32(&s.stop) == 0 {
		// Where it stands in for others it does not keep anybody waiting.
		bell := raw.Load32(&s.queueBell)
		deep(look, arg)
		asleep := raw.Nanotime()
		raw.Store64(&s.asleep, uint64(asleep))
		switch reads, serves := w.looks.unread >= looksMost, w.looks.queued >= looksMost; {
		case reads && serves:
			s.wait(w, 1)
		case reads:
			s.wait(w, lookEvery)
		case serves:
			raw.Add32(&s.queueSleep, 1)
			futexWait(w, &s.queueBell, bell, lookEvery*1e6)
			raw.Add32(&s.queueSleep, ^uint32(0))
		default:
			futexWait(w, &s.stop, 0, lookEvery*1e6)
		}
		if slept := raw.Nanotime() - asleep; slept > stillFrom {
			raw.Store64(&s.still, s.still+uint64(slept)) // nobody else writes it
		}
	}
}

// look is one look at everybody.
//
//go:nosplit
//go:norace
//go:nocheckptr
func look(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	k := &w.looks
	one := uint32(0)
	if now := raw.Nanotime(); now >= k.next {
		k.next, one = now+lookEvery*9e5, 1
	}
	read, done, kept := uint64(0), uint64(0), k.keeper
	for i := uintptr(0); i < maxWorkers; i++ {
		p := *at[uintptr](uintptr(unsafe.Pointer(&s.workers)) + i*8)
		if p == 0 || p == arg {
			continue
		}
		v := at[worker](p)
		last, same := at[uint64](uintptr(unsafe.Pointer(&k.last))+i*8), at[uint32](uintptr(unsafe.Pointer(&k.same))+i*4)
		progress := raw.Load64(&v.progress)
		if i < readers {
			read += progress
			if i == 0 {
				k.keeper = progress
			}
		} else {
			done += progress
		}
		if progress != *last || raw.Load32(&v.busy) == 0 {
			*last, *same = progress, 0
			raw.Store32(&v.standing, 0)
		} else if *same += one; *same >= looksMost && (raw.Load32(&v.standing) == 0 || raw.Load64(&v.relieved) == 0) {
			raw.Store32(&v.standing, 1)
			w.carry.target = p
			deep(relieve, arg)
		}
	}
	// A follower that reads hands over to the keeper in each pause. So once nobody read the keeper alone ends it.
	waits := s.wait(w, 0)&3 != 0
	if read != k.read || !waits && k.unread < looksMost {
		k.unheld = 0
		if k.unread < looksMost || k.keeper != kept {
			k.unread = 0
		}
	} else if waits {
		k.unread, k.unheld = min(k.unread+one, looksMost), min(k.unheld+one, looksMost)
	}
	if waits && k.unread == looksMost {
		deep(readAll, arg)
	}
	k.read = read
	switch waits := raw.Load64(&s.queueTail) != raw.Load64(&s.queueHead); {
	case done != k.done, !waits && k.queued < looksMost:
		k.queued = 0
	case waits:
		for k.queued = min(k.queued+one, looksMost); k.queued == looksMost && s.take(w); {
			s.relieves(1, firstDisk, maxWorkers)
			deep(fromDisk, arg)
			raw.Store32(&w.busy, 0)
			raw.Add64(&w.progress, 1)
		}
	}
	k.done = done
	if s.mute() {
		futexWake(&s.cmd.bell, 1) // the surgeon tries again, see rescue_linux.go
	}
	if round := raw.Load32(&s.parkRound); round == 0 || round != k.round {
		k.round, k.parking = round, 0
	} else if k.parking += one; k.parking >= looksMost {
		s.relieves(1, surgeonNumber, surgeonNumber+1)
		s.unpark() // the surgeon stands still, and the whole process with it
	}
}

// readAll answers every message that waits. Where no reader has moved for so long whoever has the lock of the
// descriptor for memory stands still, and it is taken from it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func readAll(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	w.reads = 1
	for more := true; more; {
		a := uintptr(0)
		if w.looks.unheld >= looksMost {
			raw.Store32(&s.reading, 1)
			a = s.drainOne(w, s.arenaFD)
			unlock(&s.reading)
			if a != 0 {
				w.drained()
			}
		} else {
			a = s.drain(w, s.arenaFD)
		}
		b := s.drain(w, s.overlayFD)
		s.relieves(uint64(a+b), 0, readers)
		more = a+b != 0 && raw.Load32(&s.stop) == 0
	}
	w.reads = 0
	s.heed(w)
}

// relieve resolves the fault that a worker stands still at. The record is left to it: nobody can tell how far
// it is written.
//
//go:nosplit
//go:norace
//go:nocheckptr
func relieve(arg uintptr) {
	w := at[worker](arg)
	s := at[shared](w.shared)
	v := at[worker](w.carry.target)
	w.now = v.now
	w.now.left = false
	if w.now.moved.length != 0 {
		return
	}
	raw.Store64(&w.relieved, 0)
	raw.Store32(&w.busy, 1)
	w.reads = 1 // nothing is waited for: the next look tries again
	if w.now.target != 0 {
		t := at[target](w.now.target)
		// Counted as its own: while the surgeon takes pages away nobody may look for them.
		raw.Add32(&t.inflight, 1)
		done := raw.Load32(t.state(w.now.g)) < gPending || raw.Load32(&t.frozen) != 0
		if done && v.reads != 0 {
			s.wake(w, t, w.now.g, 1) // which it may not have come to
		}
		if !done {
			raw.Store64(&v.relieved, uint64(raw.Nanotime()))
			switch t.kind {
			case kindArena:
				_, done = s.open(w, t, w.now.g, w.now.flags)
			case kindOverlay:
				done = s.restored(w)
			case kindFile:
				done = false // it tries for ever by itself
			default:
				if lo, _ := t.span(w.now.g, 1); v.reads == 0 {
					w.now.addr = lo + uintptr(w.now.flags>>placeShift)*t.page
				}
				deep(share, arg)
				done = w.carry.ok
			}
			if !done {
				raw.Store64(&v.relieved, 0)
			} else {
				raw.Store32(t.state(w.now.g), gOpen)
				s.wake(w, t, w.now.g, 1)
				s.relieves(1, uintptr(v.number), uintptr(v.number)+1)
			}
		}
		raw.Add32(&t.inflight, ^uint32(0))
	} else if v.reads != 0 && raw.Load64(&v.relieved) == 0 && w.now.message != 0 {
		// Read, and claimed by nobody: as if it had been read here. An event is not answered twice.
		if *at[uffd.Event](w.now.message) == uffd.EventPagefault {
			raw.Store64(&v.relieved, uint64(raw.Nanotime()))
			s.relieves(1, uintptr(v.number), uintptr(v.number)+1)
			deep(answer, arg)
		}
	}
	w.reads = 0
	w.drained()
}

// standing reports whether a thread of the engine does not move.
func (e *Engine) standing() bool {
	for i := range e.workers {
		if e.stands(i) {
			return true
		}
	}
	return false
}

// stands reports whether the watchdog sees that a thread of the engine does not move, or it is no more.
func (e *Engine) stands(number int) bool {
	if e.isOver() {
		return false // all of them have ended
	}
	return raw.Load32(&at[worker](e.workers[number]).standing) != 0 || number < len(e.threads) && e.threads[number].Ended()
}
