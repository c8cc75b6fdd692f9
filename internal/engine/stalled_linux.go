//go:build linux && (amd64 || arm64)

package engine

import "github.com/firsttouch/firsttouch/internal/raw"

// Stalled counts the threads that wait at this moment, by the records that are claimed and not yet
// resolved. Others that wait for the same granules, and those whose record was dropped, are not among
// them. Like Next it reads the ring, so that both have one caller at a time.
func (e *Engine) Stalled() (n int) {
	s := e.s
	for seq, head := s.tail, raw.Load64(&s.head); seq < head; seq++ {
		st := raw.Load32(&s.record(seq).state)
		if st>>stBits<<stBits == s.generation(seq) && st&stClaimed != 0 && st&stResolved == 0 {
			n++
		}
	}
	return n + len(e.late)
}
