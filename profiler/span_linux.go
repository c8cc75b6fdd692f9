//go:build linux && (amd64 || arm64)

package profiler

import (
	"slices"
	"sync"
	"time"

	"github.com/firsttouch/firsttouch/internal/engine"
)

// binder knows which goroutine works for which span, and the totals of these: the engine, or an observer.
type binder interface {
	Introduce()
	Goid() uint64
	OpenSpan() (ref uint64)
	Bind(goid, ref uint64) (before uint64, ok bool)
	Bound(goid uint64) (ref uint64)
	EndSpan(ref uint64)
	SpanTotals(ref uint64) engine.SpanTotals
	Ended(ref uint64) bool
	ReleaseSpan(ref uint64)
	Waits(ref uint64) bool
	Head() uint64   // how far records have been claimed
	Folded() uint64 // and how far they have been folded
}

// Span is a unit of work that faults are attributed to: those of the goroutine that started it, of
// goroutines that this one started, and of goroutines bound to it, while it is the innermost span
// of that goroutine. A nil Span is valid and does nothing.
type Span struct {
	p    *Profiler
	ref  uint64
	goid uint64
	held time.Duration // for how long all Ps were held before it began
	once sync.Once     // of the end
	end  SpanStats
}

// spanInfo is what is known of a span until it is released.
type spanInfo struct {
	trace  [16]byte
	id     [8]byte
	outer  uint64 // what its goroutine worked for before
	faults []Fault
	// unexported is set before the span's goroutine goes on.
	unexported bool
}

// leavingSpan waits until the ring no longer holds faults of it.
type leavingSpan struct{ ref, head uint64 }

// spanFaults bounds the faults kept of one span, and spanFaultsAll those of all that are open or were not released.
const (
	spanFaults    = 4096
	spanFaultsAll = 1 << 15
)

// StartSpan makes the calling goroutine work for a new span. It never fails: when too many spans
// are open, the faults of this one are unattributed, and Stats.SpansDropped counts it.
func (p *Profiler) StartSpan(traceID [16]byte, spanID [8]byte) *Span {
	if p == nil {
		return nil
	}
	p.spanMu.Lock()
	defer p.spanMu.Unlock()
	if p.binder == nil {
		return nil
	}
	p.binder.Introduce()
	s := &Span{p: p, ref: p.binder.OpenSpan(), goid: p.binder.Goid(), held: p.heldAll()}
	outer, ok := p.binder.Bind(s.goid, s.ref)
	if s.ref == 0 || !ok {
		p.lost++
	}
	if s.ref != 0 {
		p.spans[s.ref] = &spanInfo{trace: traceID, id: spanID, outer: outer}
	}
	return s
}

// heldAll is for how long all Ps have stood in page faults. The caller holds spanMu.
func (p *Profiler) heldAll() time.Duration {
	if p.eng == nil {
		return 0
	}
	return p.eng.Held().All
}

// Ref is the span's identity in faults and snapshots; 0 when it is not observed.
func (s *Span) Ref() SpanRef {
	if s == nil {
		return 0
	}
	return SpanRef(s.ref)
}

// MarkUnsampled says that the span is known here alone, since a sampler dropped its trace. Call it before the
// span's work begins.
func (s *Span) MarkUnsampled() {
	if s == nil || s.ref == 0 {
		return
	}
	s.p.spanMu.Lock()
	defer s.p.spanMu.Unlock()
	if info := s.p.spans[s.ref]; info != nil {
		info.unexported = true
	}
}

// End ends the span and returns its totals, exact whatever the ring still holds. Its goroutine
// works for the span around it again. It may be called from any goroutine, and again: the totals
// stay. Release must follow.
func (s *Span) End() SpanStats {
	if s == nil {
		return SpanStats{}
	}
	if s.ref != 0 {
		s.once.Do(s.finish)
	}
	return s.end
}

func (s *Span) finish() {
	p := s.p
	p.spanMu.Lock()
	work, info := p.binder, p.spans[s.ref]
	if work == nil || info == nil {
		p.spanMu.Unlock()
		return
	}
	if work.Bound(s.goid) == s.ref {
		work.Bind(s.goid, p.open(info.outer))
	}
	held := p.heldAll()
	work.EndSpan(s.ref)
	p.ending.Add(1)
	p.spanMu.Unlock()
	defer p.ending.Done()
	// Without the lock: this may wait for faults of other goroutines, and requests go on meanwhile.
	t := work.SpanTotals(s.ref)
	s.end = SpanStats{TraceID: info.trace, SpanID: info.id, Faults: t.Faults, Stall: t.Stall, Max: t.Max, Bytes: t.Bytes, Blocked: max(held-s.held-t.Blocked, 0)}
	for _, r := range t.Regions {
		s.end.Regions = append(s.end.Regions, RegionID(r))
	}
}

// open returns the innermost span that has not ended, from ref outwards. The caller holds spanMu.
func (p *Profiler) open(ref uint64) uint64 {
	for ref != 0 && p.binder.Ended(ref) {
		if info := p.spans[ref]; info != nil {
			ref = info.outer
		} else {
			ref = 0
		}
	}
	return ref
}

// Bind makes the calling goroutine work for s, for example one that takes its work from a channel,
// until unbind is called on the same goroutine.
func (s *Span) Bind() (unbind func()) {
	if s == nil || s.ref == 0 {
		return func() {}
	}
	p := s.p
	p.spanMu.Lock()
	defer p.spanMu.Unlock()
	if p.binder == nil {
		return func() {}
	}
	goid := p.binder.Goid()
	outer, ok := p.binder.Bind(goid, s.ref)
	if !ok {
		p.lost++
	}
	return func() {
		p.spanMu.Lock()
		defer p.spanMu.Unlock()
		if p.binder != nil {
			p.binder.Bind(goid, p.open(outer))
		}
	}
}

// Faults returns the first 4,096 faults of an ended span in claim order, or fewer where spans that were not released yet
// have 32,768; what End returns counts all. It waits for the ring,
// some milliseconds: not for a request's own goroutine.
func (s *Span) Faults() []Fault {
	if s == nil || s.ref == 0 {
		return nil
	}
	s.p.Flush()
	s.p.spanMu.Lock()
	defer s.p.spanMu.Unlock()
	if info := s.p.spans[s.ref]; info != nil {
		return info.faults
	}
	return nil
}

// Release forgets an ended span. A span that is never released keeps one of 8,192 places.
func (s *Span) Release() {
	if s == nil || s.ref == 0 {
		return
	}
	s.End()
	p := s.p
	p.spanMu.Lock()
	defer p.spanMu.Unlock()
	if p.binder != nil {
		p.leaving = append(p.leaving, leavingSpan{s.ref, p.binder.Head()})
	}
}

// releaseSpans frees the places of released spans that no record refers to any more. The caller
// holds foldMu.
func (p *Profiler) releaseSpans() {
	p.spanMu.Lock()
	defer p.spanMu.Unlock()
	folded := p.binder.Folded()
	p.leaving = slices.DeleteFunc(p.leaving, func(l leavingSpan) bool {
		if l.head > folded || p.binder.Waits(l.ref) {
			return false
		}
		if info := p.spans[l.ref]; info != nil {
			p.spanKept -= len(info.faults)
		}
		delete(p.spans, l.ref)
		p.binder.ReleaseSpan(l.ref)
		return true
	})
}

// nameSpan keeps a fault for its span and gives the span its ids in the aggregate. The caller
// holds foldMu.
func (p *Profiler) nameSpan(f Fault) {
	if f.Span == 0 {
		return
	}
	p.spanMu.Lock()
	defer p.spanMu.Unlock()
	info := p.spans[uint64(f.Span)]
	if info == nil {
		return
	}
	if len(info.faults) < spanFaults && p.spanKept < spanFaultsAll {
		info.faults = append(info.faults, f)
		p.spanKept++
	}
	if p.agg.spans[f.Span] == nil {
		p.agg.keepSpan(f.Span, &SpanStats{TraceID: info.trace, SpanID: info.id, Unsampled: info.unexported})
	}
}
