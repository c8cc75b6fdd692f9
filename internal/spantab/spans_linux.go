//go:build linux && (amd64 || arm64)

package spantab

import (
	"sync"
	"time"
	"unsafe"

	"github.com/firsttouch/firsttouch/internal/raw"
)

// Spans opens, binds and ends the spans of a table. Its methods may be called by any number of goroutines.
type Spans struct {
	t    *Table
	mu   sync.Mutex // guards the writes to slots and bindings
	free []uint32
	gen  []uint32
}

// NewSpans makes the only one for a table.
func NewSpans(t *Table) *Spans {
	s := &Spans{t: t, gen: make([]uint32, slots)}
	for i := uint32(slots); i > 0; i-- {
		s.free = append(s.free, i-1)
	}
	return s
}

// Open takes a slot for a span. It returns 0 when all are taken.
func (s *Spans) Open() (ref uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) == 0 {
		return 0
	}
	i := s.free[len(s.free)-1]
	s.free = s.free[:len(s.free)-1]
	s.gen[i]++
	ref = uint64(s.gen[i])<<32 | uint64(i+1)
	p := s.t.slot(ref)
	p.faults, p.stall, p.max, p.bytes, p.blocked, p.regions, p.ended = 0, 0, 0, 0, 0, [regionsKept]uint32{}, 0
	raw.Store64(&p.ref, ref)
	return ref
}

// Bind makes a goroutine work for a span, 0 for none, and returns the span that it worked for. ok
// is false when too many goroutines with the same place in the table are bound.
func (s *Spans) Bind(goid, ref uint64) (before uint64, ok bool) {
	if goid == 0 {
		return 0, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var free *binding
	for i := uintptr(0); i < ways; i++ {
		b := (*binding)(unsafe.Pointer(s.t.bucket(goid) + i*bindingSize))
		switch b.goid {
		case goid:
			before = b.span
			if ref == 0 {
				raw.Store64(&b.goid, 0)
			}
			raw.Store64(&b.span, ref)
			return before, true
		case 0:
			if free == nil {
				free = b
			}
		}
	}
	if ref == 0 {
		return 0, true
	}
	if free == nil {
		return 0, false
	}
	raw.Store64(&free.span, ref)
	raw.Store64(&free.goid, goid)
	return 0, true
}

// End ends a span: faults no longer count for it.
func (s *Spans) End(ref uint64) { raw.Store32(&s.t.slot(ref).ended, 1) }

// Ended reports whether a span has ended or was released.
func (s *Spans) Ended(ref uint64) bool {
	p := s.t.slot(ref)
	return raw.Load64(&p.ref) != ref || raw.Load32(&p.ended) != 0
}

// Totals are the totals of one span.
type Totals struct {
	Faults, Bytes uint64
	Stall, Max    time.Duration
	Blocked       uint64   // in the unit of Table.Block
	Regions       []uint32 // the first eight, in order of first touch
}

// settleMost bounds the wait for faults whose stall is not yet added when a span ends.
const (
	settleMost = 20 * time.Millisecond
	settleStep = 20 * time.Microsecond
)

// Totals returns the totals of an ended span: exact, since every fault is counted before its
// toucher goes on. Faults of other goroutines that are still in flight are waited for, briefly.
func (s *Spans) Totals(ref uint64) Totals {
	p := s.t.slot(ref)
	for end := time.Now().Add(settleMost); raw.Load32(&p.inflight) != 0 && time.Now().Before(end); {
		time.Sleep(settleStep)
	}
	t := Totals{
		Faults: raw.Load64(&p.faults), Bytes: raw.Load64(&p.bytes),
		Stall: time.Duration(raw.Load64(&p.stall)), Max: time.Duration(raw.Load64(&p.max)), Blocked: raw.Load64(&p.blocked),
	}
	for i := range p.regions {
		if r := raw.Load32(&p.regions[i]); r != 0 {
			t.Regions = append(t.Regions, r-1)
		}
	}
	return t
}

// Release gives the slot of an ended span back.
func (s *Spans) Release(ref uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.t.slot(ref)
	if p.ref != ref {
		return
	}
	raw.Store64(&p.ref, 0)
	s.free = append(s.free, uint32(ref)-1)
}
