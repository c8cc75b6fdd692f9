//go:build linux && (amd64 || arm64)

package engine

import (
	"time"

	"github.com/firsttouch/firsttouch/internal/raw"
)

// A thread that waits for storage in a handler of ours while it runs Go code holds its P, as in a plain page fault. While as many do as
// there are Ps nothing of the program runs. So it is counted how many do, when one begins and when it ends, before it goes on: who reads the
// totals afterwards has all that there was until then.
//
// The number and since when it holds are one word, changed by one compare-and-swap; whoever changed it adds the time before to the totals.

// Times are in units of 1,024 ns since the engine was started, so that they and the number of threads are in one word: 17 years, and more
// threads than there are places in inStorage.
const (
	heldUnit  = 10
	heldTime  = 49
	heldTimes = 1<<heldTime - 1
)

// holdsP reports whether a thread with such registers runs a goroutine that holds a P: one that is in C code or in a system call may have
// lost it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) holdsP(pc, g uintptr) bool {
	return g != 0 && pc >= s.textLo && pc < s.textHi && !afterCall(pc)
}

// hold counts the calling thread among those that wait for storage and hold a P, or with ^0 does so no longer. It returns for how long all
// Ps were held so far.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) hold(n uint64) uint64 {
	for {
		old := raw.Load64(&s.held)
		now := max(uint64(raw.Nanotime()-s.heldFrom)>>heldUnit, old&heldTimes)
		if !raw.Cas64(&s.held, old, (old>>heldTime+n)<<heldTime|now) {
			continue
		}
		if took, threads := now-old&heldTimes, old>>heldTime; threads != 0 {
			raw.Add64(&s.heldSum, threads*took)
			raw.Add64(&s.heldAny, took)
			if procs := uint64(raw.Load32(&s.procs)); procs != 0 && threads >= procs {
				raw.Add64(&s.heldAll, took)
			}
		}
		return raw.Load64(&s.heldAll)
	}
}

// blockedOf is where it is kept for how long all Ps were held while the thread of a record was one of those that held them, in units of heldUnit.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) blockedOf(seq uint64) *uint32 {
	return at[uint32](s.blocked + uintptr(seq&s.ringMask)*4)
}

// Held is for how long Ps were held by threads that wait for storage: a lower bound, since threads that wait without a record are not
// counted, nor those that waited when another engine was started.
type Held struct {
	Sum time.Duration // over the threads
	Any time.Duration // at least one did
	All time.Duration // as many did as there are Ps
}

// SetProcs says how many Ps there are.
func (e *Engine) SetProcs(n int) { raw.Store32(&e.s.procs, uint32(n)) }

// Held returns what there was until now.
func (e *Engine) Held() Held {
	s := e.s
	old := raw.Load64(&s.held)
	sum, some, all := raw.Load64(&s.heldSum), raw.Load64(&s.heldAny), raw.Load64(&s.heldAll)
	if took, threads := max(uint64(raw.Nanotime()-s.heldFrom)>>heldUnit, old&heldTimes)-old&heldTimes, old>>heldTime; threads != 0 {
		sum, some = sum+threads*took, some+took
		if procs := uint64(raw.Load32(&s.procs)); procs != 0 && threads >= procs {
			all += took
		}
	}
	return Held{heldFor(sum), heldFor(some), heldFor(all)}
}

func heldFor(units uint64) time.Duration { return time.Duration(units << heldUnit) }
