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

// OpenSpan is Open of spantab.Spans, as those that follow are its other methods.
func (e *Engine) OpenSpan() (ref uint64) { return e.spans.Open() }

func (e *Engine) Bind(goid, ref uint64) (before uint64, ok bool) { return e.spans.Bind(goid, ref) }

func (e *Engine) EndSpan(ref uint64) { e.spans.End(ref) }

func (e *Engine) Ended(ref uint64) bool { return e.spans.Ended(ref) }

func (e *Engine) ReleaseSpan(ref uint64) { e.spans.Release(ref) }

// Bound returns the span that a goroutine works for, or 0.
func (e *Engine) Bound(goid uint64) uint64 { return e.s.spans.Of(goid) }

// SpanTotals returns the totals of an ended span, see spantab.Totals.
func (e *Engine) SpanTotals(ref uint64) SpanTotals {
	t := e.spans.Totals(ref)
	return SpanTotals{t.Faults, t.Bytes, t.Stall, t.Max, heldFor(t.Blocked), t.Regions}
}

// account counts a claimed fault on the span of its goroutine, or of the goroutine that started it.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (s *shared) account(r *Record, goid, parent uint64, t *target) {
	r.Goid = goid
	ref := s.spans.Of(goid)
	if ref == 0 {
		ref = s.spans.Of(parent)
	}
	if ref == 0 {
		return
	}
	if _, length := t.span(t.granule(r.Address), 1); s.spans.Count(ref, uint64(length), t.region) {
		r.Span = ref
	}
}
