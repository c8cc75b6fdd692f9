//go:build linux && (amd64 || arm64)

package engine

import (
	"runtime"
	"time"

	"github.com/firsttouch/firsttouch/internal/raw"
	"golang.org/x/sys/unix"
)

// SpanTotals are the totals of one span.
type SpanTotals struct {
	Faults, Bytes uint64
	Stall, Max    time.Duration
	Blocked       time.Duration // for how long all Ps were held, and its own faults held one
	Regions       []uint32
}

// Goid returns the current goroutine's id, or 0 when this runtime's layout is not known.
func (e *Engine) Goid() uint64 {
	goid, _, _ := e.s.goroutine(raw.G())
	runtime.KeepAlive(e)
	return goid
}

// Introduce makes the calling thread known, so that the goroutine of its faults can be read without
// asking it by a signal.
func (e *Engine) Introduce() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	t := e.s.threadOf(uint32(unix.Gettid()), true)
	if now := int64(Now()); t != nil && now-t.verified > trust/2 {
		t.tls = e.s.tlsSlot(raw.G())
		t.verified = now
	}
}

// OpenSpan takes a slot for a span. It returns 0 when all are taken.
func (e *Engine) OpenSpan() (ref uint64) {
	e.spanMu.Lock()
	defer e.spanMu.Unlock()
	if len(e.free) == 0 {
		return 0
	}
	i := e.free[len(e.free)-1]
	e.free = e.free[:len(e.free)-1]
	e.gen[i]++
	ref = uint64(e.gen[i])<<32 | uint64(i+1)
	p := e.s.spanSlot(ref)
	p.faults, p.stall, p.max, p.bytes, p.blocked, p.regions, p.ended = 0, 0, 0, 0, 0, [8]uint32{}, 0
	raw.Store64(&p.ref, ref)
	return ref
}

// Bind makes a goroutine work for a span, 0 for none, and returns the span that it worked for. ok
// is false when too many goroutines with the same place in the table are bound.
func (e *Engine) Bind(goid, ref uint64) (before uint64, ok bool) {
	if goid == 0 {
		return 0, false
	}
	e.spanMu.Lock()
	defer e.spanMu.Unlock()
	var free *goidEntry
	for i := uintptr(0); i < goidWays; i++ {
		p := at[goidEntry](e.s.goidBucket(goid) + i*goidEntrySize)
		switch p.goid {
		case goid:
			before = p.span
			if ref == 0 {
				raw.Store64(&p.goid, 0)
			}
			raw.Store64(&p.span, ref)
			return before, true
		case 0:
			if free == nil {
				free = p
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

// Bound returns the span that a goroutine works for, or 0.
func (e *Engine) Bound(goid uint64) uint64 { return e.s.spanOf(goid) }

// settleMost bounds the wait for faults whose stall is not yet added when a span ends.
const (
	settleMost = 20 * time.Millisecond
	settleStep = 20 * time.Microsecond
)

// EndSpan ends a span: faults no longer count for it.
func (e *Engine) EndSpan(ref uint64) { raw.Store32(&e.s.spanSlot(ref).ended, 1) }

// SpanTotals returns the totals of an ended span: exact, since every fault is counted before its
// toucher goes on. Faults of other goroutines that are still in flight are waited for, briefly.
func (e *Engine) SpanTotals(ref uint64) SpanTotals {
	p := e.s.spanSlot(ref)
	for end := Now() + settleMost; raw.Load32(&p.inflight) != 0 && Now() < end; {
		time.Sleep(settleStep)
	}
	t := SpanTotals{
		Faults: raw.Load64(&p.faults), Bytes: raw.Load64(&p.bytes),
		Stall: time.Duration(raw.Load64(&p.stall)), Max: time.Duration(raw.Load64(&p.max)), Blocked: heldFor(raw.Load64(&p.blocked)),
	}
	for i := range p.regions {
		if r := raw.Load32(&p.regions[i]); r != 0 {
			t.Regions = append(t.Regions, r-1)
		}
	}
	return t
}

// Ended reports whether a span has ended or was released.
func (e *Engine) Ended(ref uint64) bool {
	p := e.s.spanSlot(ref)
	return raw.Load64(&p.ref) != ref || raw.Load32(&p.ended) != 0
}

// ReleaseSpan gives the slot of an ended span back.
func (e *Engine) ReleaseSpan(ref uint64) {
	e.spanMu.Lock()
	defer e.spanMu.Unlock()
	p := e.s.spanSlot(ref)
	if p.ref != ref {
		return
	}
	raw.Store64(&p.ref, 0)
	e.free = append(e.free, uint32(ref)-1)
}
