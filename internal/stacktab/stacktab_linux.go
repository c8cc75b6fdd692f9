//go:build linux && (amd64 || arm64)

package stacktab

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
)

// MaxPCs is how many frames of a stack are kept.
const MaxPCs = 62

const (
	slots     = 1 << 14
	probes    = 64
	header    = 24
	entrySize = header + MaxPCs*8
)

// Size is the memory that a table needs, in bytes.
const Size = slots * entrySize

// entry is one distinct stack, found by its hash.
type entry struct {
	hash  uint64
	ready uint32
	n     uint32
	word  uintptr // return address of a function without a frame, if it is one
	pcs   [MaxPCs]uintptr
}

// Table holds distinct stacks, by number from 1 on. Any number of threads may add to it and read it. It lies outside the Go heap.
type Table struct {
	memory uintptr // Size bytes, zero at first
	full   uint32  // stacks that found no place
}

// Use gives the table its memory.
func (t *Table) Use(memory uintptr) { t.memory = memory }

// Full is how many stacks found no place.
func (t *Table) Full() uint64 { return uint64(raw.Load32(&t.full)) }

// Frame is where a walk along the frame pointers stands: a program counter, a frame pointer, and the bounds of the stack's memory
// that is left for frame records.
type Frame struct{ PC, FP, Lo, Hi uintptr }

// Next steps to the caller. Frame records are two words, the caller's frame pointer and the return
// address, at rising addresses (fpTracebackPCs in runtime/tracestack.go). It reads within the bounds only.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (f *Frame) Next() bool {
	if f.FP < f.Lo || f.FP+16 > f.Hi || f.FP+16 < f.FP || f.FP&7 != 0 {
		return false
	}
	f.PC = *word(f.FP + 8)
	up := *word(f.FP)
	f.Lo = f.FP + 16
	f.FP = up
	return f.PC != 0
}

// Intern returns the number of the stack that begins at start, or 0 when the table is full. It walks twice, once for
// the hash and once to write a new entry, because a signal stack has no room for a copy. cut: it has MaxPCs frames or more, or no place.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *Table) Intern(start Frame, leaf uintptr) (number uint32, cut bool) {
	h := mix(mix(0x243f6a8885a308d3, uint64(start.PC)), uint64(leaf))
	f := start
	n := uint32(1)
	for n < MaxPCs && f.Next() {
		h = mix(h, uint64(f.PC))
		n++
	}
	cut = n == MaxPCs
	if h == 0 {
		h = 1
	}
	for i := uint64(0); i < probes; i++ {
		k := (h + i) % slots
		e := t.at(uintptr(k))
		have := raw.Load64(&e.hash)
		if have == 0 {
			if raw.Cas64(&e.hash, 0, h) {
				e.n, e.word = n, leaf
				f = start
				pcs := uintptr(unsafe.Pointer(e)) + header // by address: an index is checked where the compiler does not optimize
				*word(pcs) = f.PC
				for j := uint32(1); j < n && f.Next(); j++ {
					*word(pcs + uintptr(j)*8) = f.PC
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
	raw.Add32(&t.full, 1)
	return 0, true
}

// Ready reports whether a stack is written whole: another thread may be at it.
func (t *Table) Ready(number uint32) bool { return raw.Load32(&t.at(uintptr(number-1)).ready) != 0 }

// Stack returns the program counters of a stack that is ready, leaf first, and the return address of the leaf if it has
// no frame of its own.
func (t *Table) Stack(number uint32) (pcs []uintptr, leaf uintptr) {
	e := t.at(uintptr(number - 1))
	return append(pcs, e.pcs[:e.n]...), e.word
}

//go:nosplit
//go:norace
//go:nocheckptr
func (t *Table) at(k uintptr) *entry { return (*entry)(unsafe.Pointer(t.memory + k*entrySize)) }

//go:nosplit
//go:norace
//go:nocheckptr
func word(p uintptr) *uintptr { return (*uintptr)(unsafe.Pointer(p)) }

//go:nosplit
//go:norace
//go:nocheckptr
func mix(h, v uint64) uint64 {
	h = (h ^ v) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}
