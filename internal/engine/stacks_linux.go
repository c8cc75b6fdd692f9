//go:build linux && (amd64 || arm64)

package engine

import "github.com/firsttouch/firsttouch/internal/raw"

// maxPCs is how many frames of a stack are kept.
const maxPCs = 62

// stackEntry is one distinct stack, found by its hash.
type stackEntry struct {
	hash  uint64
	ready uint32
	n     uint32
	word  uintptr // return address of a function without a frame, if it is one
	pcs   [maxPCs]uintptr
}

const (
	stackSlots     = 1 << 14
	stackProbe     = 64
	stackEntrySize = 24 + maxPCs*8
)

// frame is where a walk along the frame pointers stands.
type frame struct{ pc, fp, lo, hi uintptr }

// next steps to the caller. Frame records are two words, the caller's frame pointer and the return
// address, at rising addresses (fpTracebackPCs in runtime/tracestack.go).
//
//go:nosplit
//go:norace
//go:nocheckptr
func (f *frame) next() bool {
	if f.fp < f.lo || f.fp+16 > f.hi || f.fp&7 != 0 {
		return false
	}
	f.pc = *at[uintptr](f.fp + 8)
	up := *at[uintptr](f.fp)
	f.lo = f.fp + 16
	f.fp = up
	return f.pc != 0
}

// intern returns the number of the stack, or 0 when the table is full. It walks twice, once for
// the hash and once to write a new entry, because a signal stack has no room for a copy.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) intern(start frame, word uintptr) (number uint32, cut bool) {
	h := mix(mix(0x243f6a8885a308d3, uint64(start.pc)), uint64(word))
	f := start
	n := uint32(1)
	for n < maxPCs && f.next() {
		h = mix(h, uint64(f.pc))
		n++
	}
	cut = n == maxPCs
	if h == 0 {
		h = 1
	}
	for i := uint64(0); i < stackProbe; i++ {
		k := (h + i) % stackSlots
		e := at[stackEntry](s.stacks + uintptr(k)*stackEntrySize)
		have := raw.Load64(&e.hash)
		if have == 0 {
			if raw.Cas64(&e.hash, 0, h) {
				e.n, e.word = n, word
				f = start
				*at[uintptr](s.stacks + uintptr(k)*stackEntrySize + 24) = f.pc
				for j := uint32(1); j < n && f.next(); j++ {
					*at[uintptr](s.stacks + uintptr(k)*stackEntrySize + 24 + uintptr(j)*8) = f.pc
				}
				raw.Store32(&e.ready, 1)
				return uint32(k) + 1, cut
			}
			have = raw.Load64(&e.hash)
		}
		if have == h {
			return uint32(k) + 1, cut
		}
	}
	raw.Add32(&s.stackFull, 1)
	return 0, true
}

//go:nosplit
//go:norace
//go:nocheckptr
func mix(h, v uint64) uint64 {
	h = (h ^ v) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

// SetStacks changes which faults have their stack taken, see Config.
func (e *Engine) SetStacks(every, rate int) {
	raw.Store32(&e.s.stackRate, uint32(rate))
	raw.Store32(&e.s.stackEvery, uint32(every))
}
