//go:build linux && (amd64 || arm64)

package spantab

import (
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
)

// slot holds the running totals of one span. They are written before the toucher goes on, so
// that they are exact when the span ends, whatever still waits in the ring.
type slot struct {
	ref      uint64 // generation<<32 | index+1 while in use, else 0
	ended    uint32
	inflight uint32 // faults counted whose stall is not yet added
	faults   uint64
	stall    uint64
	max      uint64
	bytes    uint64
	regions  [regionsKept]uint32 // region+1, in order of first touch
	blocked  uint64              // see Block
}

// binding binds a goroutine to the span that it works for.
type binding struct{ goid, span uint64 }

const (
	slots       = 1 << 13
	slotSize    = 88
	slotRegions = 48
	regionsKept = 8

	buckets     = 1 << 12
	ways        = 8
	bindingSize = 16
)

// Sizes in bytes of the memory that a table needs.
const (
	SpansSize    = slots * slotSize
	BindingsSize = buckets * ways * bindingSize
)

// Table is what is read and counted on any thread, and in signal handlers. It lies outside the Go heap.
type Table struct {
	spans    uintptr // SpansSize bytes, zero at first
	bindings uintptr // BindingsSize bytes, zero at first
}

// Use gives the table its memory.
func (t *Table) Use(spans, bindings uintptr) { t.spans, t.bindings = spans, bindings }

// bucket returns the address of the bindings among which a goroutine's is.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *Table) bucket(goid uint64) uintptr {
	return t.bindings + uintptr(goid*0x9e3779b97f4a7c15>>52)%buckets*ways*bindingSize
}

// Of returns the span that a goroutine is bound to, or 0.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *Table) Of(goid uint64) uint64 {
	if goid == 0 {
		return 0
	}
	p := t.bucket(goid)
	for end := p + ways*bindingSize; p < end; p += bindingSize {
		b := (*binding)(unsafe.Pointer(p))
		if raw.Load64(&b.goid) != goid {
			continue
		}
		ref := raw.Load64(&b.span)
		if raw.Load64(&b.goid) == goid { // else it was given away in between
			return ref
		}
	}
	return 0
}

//go:nosplit
//go:norace
//go:nocheckptr
func (t *Table) slot(ref uint64) *slot {
	return (*slot)(unsafe.Pointer(t.spans + uintptr(uint32(ref)-1)%slots*slotSize))
}

// Count counts a fault of so many bytes on a span, unless that has ended, and reports whether it did. Settle follows for each one that was counted.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *Table) Count(ref, bytes uint64, region uint32) bool {
	p := t.slot(ref)
	raw.Add32(&p.inflight, 1)
	if raw.Load64(&p.ref) != ref || raw.Load32(&p.ended) != 0 {
		raw.Add32(&p.inflight, ^uint32(0))
		return false
	}
	raw.Add64(&p.faults, 1)
	raw.Add64(&p.bytes, bytes)
	for i := uintptr(0); i < regionsKept; i++ {
		q := (*uint32)(unsafe.Pointer(uintptr(unsafe.Pointer(p)) + slotRegions + i*4))
		if v := raw.Load32(q); v == region+1 || v == 0 && raw.Cas32(q, 0, region+1) {
			break
		}
	}
	return true
}

// Settle adds the stall of a finished fault in ns, 0 where it is unknown, to its span. Span 0 is none.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *Table) Settle(span uint64, stall int64) {
	if span == 0 {
		return
	}
	p := t.slot(span)
	raw.Add64(&p.stall, uint64(stall))
	for {
		m := raw.Load64(&p.max)
		if uint64(stall) <= m || raw.Cas64(&p.max, m, uint64(stall)) {
			break
		}
	}
	raw.Add32(&p.inflight, ^uint32(0))
}

// Block adds to a span for how long all Ps were held, and its own fault held one. The unit is the caller's.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (t *Table) Block(span, held uint64) {
	if span != 0 && held != 0 {
		raw.Add64(&t.slot(span).blocked, held)
	}
}
