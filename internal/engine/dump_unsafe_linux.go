//go:build linux && (amd64 || arm64)

package engine

import (
	"sync"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
)

// What the engine is doing is in no list of goroutines: its threads have none, and who waits in its handlers stands at a plain instruction. So it
// is described by itself, without a lock and without waiting, on any thread: by SIGQUIT in front of the goroutines, and on demand.

const (
	rangesSaid  = 64  // armed ranges that are named
	threadsMost = 32  // threads that are named in each list
	lineMost    = 256 // bytes of a line of the list, at most
)

var (
	dumping sync.Mutex
	dumped  [16 << 10]byte
)

// Dump describes in lines what the engine of this process is doing: its state and armed ranges, then threads whose faults are not resolved,
// threads that wait for storage, and its own threads that are busy. It takes no lock that the engine knows, so that it answers while that hangs. What
// it says is of no one instant.
func Dump() string {
	dumping.Lock()
	defer dumping.Unlock()
	out := uintptr(unsafe.Pointer(&dumped))
	return string(dumped[:dumpTo(out, out+unsafe.Sizeof(dumped))-out])
}

// dumpTo writes the lines to memory, and returns their end.
//
//go:nosplit
//go:norace
//go:nocheckptr
func dumpTo(p, end uintptr) uintptr {
	now := raw.Nanotime()
	raw.Add32(&inHandler, 1) // nothing is freed meanwhile
	if a := uintptr(raw.Load64(&sh)); a == 0 {
		p = put(p, "firsttouch: it was closed or taken off, no memory is armed\n")
	} else {
		s := at[shared](a)
		p = s.dumpState(p)
		p = s.dumpFaults(p, end, now)
		p = s.dumpWorkers(p, end)
		p = s.dumpSurgeon(p)
	}
	raw.Add32(&inHandler, ^uint32(0))
	return dumpStorage(p, end, now)
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) dumpState(p uintptr) uintptr {
	tab := uintptr(raw.Load64(&s.table))
	n := uintptr(at[table](tab).n)
	p = putNumber(put(p, "firsttouch profiles this process: "), raw.Load64(&s.head), 10)
	p = put(p, " first touches seen")
	if s.signals {
		p = put(p, " by signal")
	}
	if raw.Load32(&s.parkRound) != 0 {
		p = put(p, ", threads are stopped")
	}
	if raw.Load64(&s.failed) != 0 {
		p = put(p, ", messages cannot be read")
	}
	if raw.Load64(&s.refused) != 0 {
		p = put(p, ", a restore was refused")
	}
	p = put(putNumber(put(p, "; "), uint64(n), 10), " ranges armed:")
	for i := uintptr(0); i < min(n, rangesSaid); i++ {
		t := at[target](*at[uintptr](tab + tableHeader + i*8))
		p = putNumber(put(p, " 0x"), uint64(t.lo), 16)
		p = putNumber(put(p, "-0x"), uint64(t.hi), 16)
	}
	if n > rangesSaid {
		p = put(p, " and more")
	}
	return put(p, "\n")
}

// dumpFaults names the threads of records that are claimed and not resolved, and who has to do what next.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) dumpFaults(p, end uintptr, now int64) uintptr {
	n := uint64(0)
	for seq, head := raw.Load64(&s.tail), raw.Load64(&s.head); seq < head; seq++ {
		r := s.record(seq)
		st := raw.Load32(&r.state)
		if st>>stBits<<stBits != s.generation(seq) || st&stClaimed == 0 || st&(stResolved|stWaiting) != 0 {
			continue
		}
		if n++; n > threadsMost || end-p < 2*lineMost {
			continue
		}
		p = putNumber(put(p, "  fault of thread "), uint64(r.Thread), 10)
		if r.Goid != 0 {
			p = putNumber(put(p, ", goroutine "), r.Goid, 10)
		}
		p = putFor(putNumber(put(p, ", at 0x"), uint64(r.Address), 16), now-r.Time)
		switch {
		case st&stBack != 0:
			p = put(p, ": accessible, and its handler has not gone on\n")
		case st&stTheirs != 0:
			p = put(p, ": its handler waits for a thread of the profiler\n")
		case st&stAbandoned != 0:
			p = put(p, ": its handler was given up\n")
		case st&stWanted != 0:
			p = put(p, ": a thread of the profiler has it, and its handler was asked for\n")
		default:
			p = put(p, ": a thread of the profiler has it\n")
		}
	}
	if n > threadsMost {
		p = put(putNumber(put(p, "  and "), n-threadsMost, 10), " faults more that are not resolved\n")
	}
	return p
}

// dumpStorage names the threads that wait for storage in a handler, also of an engine that was closed.
//
//go:nosplit
//go:norace
//go:nocheckptr
func dumpStorage(p, end uintptr, now int64) uintptr {
	n := uint64(0)
	for i := uintptr(0); i < storageSlots; i++ {
		tid := raw.Load32(at[uint32](uintptr(unsafe.Pointer(&inStorage))+i*4)) &^ storageMasks
		if tid == 0 {
			continue
		}
		if n++; n > threadsMost || end-p < lineMost {
			continue
		}
		f := at[[2]uint64](uintptr(unsafe.Pointer(&storageFor)) + i*16)
		p = putNumber(put(p, "  thread "), uint64(tid), 10)
		p = putFor(putNumber(put(p, " waits for the storage of the page at 0x"), raw.Load64(&f[0]), 16), now-int64(raw.Load64(&f[1])))
		p = put(p, "\n")
	}
	if n > threadsMost {
		p = put(putNumber(put(p, "  and "), n-threadsMost, 10), " threads more that wait for storage\n")
	}
	return p
}

// dumpWorkers names the engine's threads that are busy.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) dumpWorkers(p, end uintptr) uintptr {
	for i := uintptr(0); i < maxWorkers && end-p >= lineMost; i++ {
		a := *at[uintptr](uintptr(unsafe.Pointer(&s.workers)) + i*8)
		if a == 0 {
			break
		}
		w := at[worker](a)
		if raw.Load32(&w.busy) == 0 || i == watchdogNumber || i == surgeonNumber {
			continue
		}
		p = putNumber(put(p, "  thread "), uint64(i), 10)
		p = putNumber(put(p, " of the profiler is busy after "), raw.Load64(&w.progress), 10)
		p = putNumber(put(p, " answers, with 0x"), uint64(w.now.addr), 16)
		p = putNumber(put(p, " for thread "), uint64(w.now.tid), 10)
		if raw.Load32(&w.storing) != 0 {
			p = put(p, ", and waits for storage")
		}
		if raw.Load32(&w.standing) != 0 {
			p = put(p, ", and has not moved for long")
		}
		p = put(p, "\n")
	}
	return p
}

// dumpSurgeon tells what is being done to mappings.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) dumpSurgeon(p uintptr) uintptr {
	c := &s.cmd
	if raw.Load32(&c.bell) == raw.Load32(&c.done) || raw.Load32(&s.stop) != 0 {
		return p
	}
	p = put(p, "  the surgeon of the profiler ")
	switch c.op {
	case opPlace:
		p = put(p, "arms")
	case opRearm, opYank, opMerge, opDrop, opProtect:
		p = put(p, "arms again")
	default:
		p = put(p, "gives back")
	}
	if t := c.target; t != 0 {
		p = putNumber(put(p, " 0x"), uint64(at[target](t).lo), 16)
		p = putNumber(put(p, "-0x"), uint64(at[target](t).hi), 16)
	}
	if raw.Load32(&s.parkRound) != 0 {
		p = put(p, ", and stops the other threads")
	}
	if c.culprit != 0 {
		p = putNumber(put(p, "; in the way is thread "), uint64(c.culprit), 10)
	}
	return put(p, "\n")
}

// putFor writes for how many milliseconds something has lasted.
//
//go:nosplit
//go:norace
//go:nocheckptr
func putFor(p uintptr, ns int64) uintptr {
	return put(putNumber(put(p, ", for "), uint64(max(ns, 0)/1e6), 10), " ms")
}
