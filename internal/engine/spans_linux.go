//go:build linux && (amd64 || arm64)

package engine

import "github.com/firsttouch/firsttouch/internal/raw"

// spanSlot holds the running totals of one span. They are written before the toucher goes on, so
// that they are exact when the span ends, whatever still waits in the ring.
type spanSlot struct {
	ref      uint64 // generation<<32 | index+1 while in use, else 0
	ended    uint32
	inflight uint32 // faults counted whose stall is not yet added
	faults   uint64
	stall    uint64
	max      uint64
	bytes    uint64
	regions  [8]uint32 // region+1, in order of first touch
	blocked  uint64    // see settleHeld
}

const (
	spanSlots    = 1 << 13
	spanSlotSize = 88
)

// goidEntry binds a goroutine to the span that it works for.
type goidEntry struct{ goid, span uint64 }

const (
	goidBuckets   = 1 << 12
	goidWays      = 8
	goidEntrySize = 16
)

// goidBucket returns the address of the entries among which a goroutine's is.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) goidBucket(goid uint64) uintptr {
	return s.goids + uintptr(goid*0x9e3779b97f4a7c15>>52)%goidBuckets*goidWays*goidEntrySize
}

// spanOf returns the span that a goroutine is bound to, or 0.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) spanOf(goid uint64) uint64 {
	if goid == 0 {
		return 0
	}
	b := s.goidBucket(goid)
	for i := uintptr(0); i < goidWays; i++ {
		e := at[goidEntry](b + i*goidEntrySize)
		if raw.Load64(&e.goid) != goid {
			continue
		}
		ref := raw.Load64(&e.span)
		if raw.Load64(&e.goid) == goid { // else it was given away in between
			return ref
		}
	}
	return 0
}

//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) spanSlot(ref uint64) *spanSlot {
	return at[spanSlot](s.spans + uintptr(uint32(ref)-1)%spanSlots*spanSlotSize)
}

// account counts a claimed fault on the span of its goroutine, or of the goroutine that started it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) account(r *Record, goid, parent uint64, t *target) {
	r.Goid = goid
	ref := s.spanOf(goid)
	if ref == 0 {
		ref = s.spanOf(parent)
	}
	if ref == 0 {
		return
	}
	p := s.spanSlot(ref)
	raw.Add32(&p.inflight, 1)
	if raw.Load64(&p.ref) != ref || raw.Load32(&p.ended) != 0 {
		raw.Add32(&p.inflight, ^uint32(0))
		return
	}
	r.Span = ref
	raw.Add64(&p.faults, 1)
	_, length := t.span(t.granule(r.Address), 1)
	raw.Add64(&p.bytes, uint64(length))
	region := t.region
	for i := uintptr(0); i < 8; i++ {
		q := (*uint32)(at[uint32](s.spans + uintptr(uint32(ref)-1)%spanSlots*spanSlotSize + spanRegions + i*4))
		if v := raw.Load32(q); v == region+1 || v == 0 && raw.Cas32(q, 0, region+1) {
			break
		}
	}
}

const spanRegions = 48

// settle adds the stall of a finished fault, 0 where it is unknown, to its span.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) settle(span uint64, stall int64) {
	if span == 0 {
		return
	}
	p := s.spanSlot(span)
	raw.Add64(&p.stall, uint64(stall))
	for {
		m := raw.Load64(&p.max)
		if uint64(stall) <= m || raw.Cas64(&p.max, m, uint64(stall)) {
			break
		}
	}
	raw.Add32(&p.inflight, ^uint32(0))
}
