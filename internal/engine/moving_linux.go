//go:build linux && (amd64 || arm64)

package engine

import (
	"time"

	"github.com/firsttouch/firsttouch/internal/raw"
)

// LateEvents is for how many ns a reader does nothing between a message that is no fault and its answer, as one whose processor
// others have. Tests set it.
var LateEvents uint64

// moving is registered memory that the surgeon moves: a placeholder from there, or pages to there. The kernel tells of each move as it
// tells of the application's. mremap goes on when the message was read, so it may be gone through only when the command, or the next one,
// is over: who has issued the command keeps the range until as many messages were gone through as moves were made. Otherwise a move out of the range of
// a target that its owner has unmapped, where a placeholder was made since, would be taken for the owner's.
type moving struct {
	lo, hi     uint64
	made, seen uint64
}

// has reports whether a message is of a move by the surgeon, from or to an address, and counts it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (m *moving) has(addr uintptr) bool {
	if uint64(addr) < raw.Load64(&m.lo) || uint64(addr) >= raw.Load64(&m.hi) {
		return false
	}
	raw.Add64(&m.seen, 1)
	return true
}

// movesLimit is for how long the last message of a move is waited for: who is to go through it may be held by a debugger.
const movesLimit = 10 * time.Second

// moves says that the surgeon is about to move registered memory from a range or to it. over waits until all moves were heard of. The
// caller holds op.
func (e *Engine) moves(lo, length uintptr) (over func()) {
	m := &e.s.moving
	raw.Store64(&m.lo, uint64(lo))
	raw.Store64(&m.hi, uint64(lo+length))
	return func() {
		for end := Now() + movesLimit; raw.Load64(&m.seen) < raw.Load64(&m.made) && !e.isOver() && Now() < end; {
			time.Sleep(20 * time.Microsecond)
		}
		raw.Store64(&m.hi, 0)
		raw.Store64(&m.seen, raw.Load64(&m.made))
	}
}
