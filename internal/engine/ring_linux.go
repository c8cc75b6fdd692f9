//go:build linux && (amd64 || arm64)

package engine

import "github.com/firsttouch/firsttouch/internal/raw"

// Record is one fault as the hot path writes it: 64 bytes, no pointers.
type Record struct {
	Time     int64   // CLOCK_MONOTONIC ns at the claim
	Address  uintptr // exact
	Stall    int64   // ns from the claim until the thread had its page, or the granule was accessible
	Goid     uint64  // 0 is unknown
	Span     uint64  // 0 is none
	Thread   uint32
	Target   uint32 // number of the target, see Targets
	Stack    uint32 // number in the stack table, 0 is none
	Messages uint32
	Access   uint8
	Source   uint8
	Flags    uint16
	state    uint32
}

// Flags of a record.
const (
	FlagHandlerAccounts = 1 << iota // the goroutine was unknown at the claim: the signal handler attributes the fault
	FlagStackCut                    // the stack was deeper than stacktab.MaxPCs, or the stack table was full
	FlagStackMissed                 // a stack was asked for and did not come
	FlagOwn                         // the engine's own signal handler touched it
	FlagStallUnknown                // nobody saw how long the thread waited
	FlagStallBound                  // at most the stall: its system call had returned by then
	FlagBlocked                     // while its thread waited for storage all Ps were held, see blockedOf
)

// flagVoid: the fault was none of ours, or is met again. Not seen by readers.
const flagVoid = 1 << 8

// The low bits of Record.state; the rest is the generation of the record's place in the ring, so
// that a late signal cannot write into its place's next record.
const (
	stClaimed   = 1 << iota // the resolver owns the record
	stWanted                // a signal was sent: the handler will arrive too
	stActive                // the handler writes
	stHandled               // the handler has arrived
	stResolved              // the granule is accessible, the resolver has arrived
	stAbandoned             // the reader gave the handler up
	stTheirs                // the handler resolves the record, once the granule is accessible
	stBack                  // which it is
	stSleeps                // the handler sleeps until it is
	stWaiting               // the handler waits for storage: all but source and stall is written, and the record may leave the ring
	stBits      = iota
)

const stGenMask = 1<<(32-stBits) - 1

// Sources as in Record.Source.
const (
	SourceUnknown = iota
	SourceZero
	SourcePageCache
	SourceDisk
	SourceMemory
)

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) record(seq uint64) *Record {
	return at[Record](s.ring + uintptr(seq&s.ringMask)*64)
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) generation(seq uint64) uint32 {
	return uint32(seq>>s.ringBits) & stGenMask << stBits
}

// claim takes the next place in the ring. The order of claims is the order of faults.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) claim() (seq uint64, ok bool) {
	for {
		h := raw.Load64(&s.head)
		if h-raw.Load64(&s.tail) > s.ringMask {
			if raw.Load64(&s.head) != h {
				continue // others claimed meanwhile, and the reader may be beyond h
			}
			raw.Add64(&s.dropped, 1)
			return 0, false
		}
		if raw.Cas64(&s.head, h, h+1) {
			return h, true
		}
	}
}

// arrive sets a bit of a record's state and returns the state before.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (r *Record) arrive(bit uint32) uint32 {
	for {
		st := raw.Load32(&r.state)
		if st&stWanted == 0 {
			raw.Release32(&r.state, st|bit) // nobody else writes
			return st
		}
		if raw.Cas32(&r.state, st, st|bit) {
			return st
		}
	}
}
