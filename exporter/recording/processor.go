package recording

import (
	"strings"

	"github.com/firsttouch/firsttouch/exporter/traces"
	"github.com/firsttouch/firsttouch/internal/plain"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

type spanKey struct {
	trace trace.TraceID
	span  trace.SpanID
}

// openMost bounds the spans whose descendants' faults are kept until they end.
const openMost = 1 << 14

// Processor returns a span processor that shows the flight recorder the spans on their way to next. It
// stands behind a traces.Processor, which says on each span what its goroutines waited for.
func (f *Flight) Processor(next sdktrace.SpanProcessor) sdktrace.SpanProcessor {
	return &processor{next, f}
}

type processor struct {
	sdktrace.SpanProcessor
	flight *Flight
}

// OnEnd shows the flight recorder the span; those of package traces are made of faults that it has.
func (p *processor) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.InstrumentationScope().Name != traces.ScopeName {
		p.flight.keep(s)
	}
	p.SpanProcessor.OnEnd(s)
}

// keep keeps a span if it is a request, or if it or one below it had faults.
func (f *Flight) keep(s sdktrace.ReadOnlySpan) {
	c, parent := s.SpanContext(), s.Parent()
	r := Request{
		TraceID: c.TraceID(), SpanID: c.SpanID(), ParentID: parent.SpanID(), Entry: !parent.SpanID().IsValid() || parent.IsRemote(),
		Kind: int(s.SpanKind()), Name: s.Name(), Start: f.clock.of(s.StartTime()), Duration: s.EndTime().Sub(s.StartTime()),
		Failed: s.Status().Code == codes.Error,
	}
	st := traces.StatsOf(s)
	r.Totals = Totals{Faults: st.Faults, Touched: st.Bytes, Stall: st.Stall, Max: st.Max}
	r.Blocked = st.Blocked
	r.describe(s.Attributes())
	// A remote client chooses them, and they stay for a while.
	r.Name, r.Target = short(r.Name), short(r.Target)
	f.mu.Lock()
	self := spanKey{c.TraceID(), c.SpanID()}
	r.Tree = r.plus(f.below[self])
	delete(f.below, self)
	if !r.Entry && r.Tree.Faults > 0 {
		up := spanKey{c.TraceID(), parent.SpanID()}
		f.makeRoom(up)
		f.below[up] = f.below[up].plus(r.Tree)
	}
	if r.Entry {
		f.ended.Add(r.Tree.Faults, r.Duration, r.Tree.Stall)
	}
	if r.Entry || r.Tree.Faults > 0 {
		f.requests.add(r)
	}
	f.mu.Unlock()
	if r.Entry && f.request != nil {
		f.request(&r)
	}
}

// textKept bounds a name and a target in the flight recorder.
const textKept = 1 << 10

// short is a copy of the start of a long text, so that the rest of it can go.
func short(s string) string {
	if len(s) > textKept {
		s = strings.Clone(plain.Cut(s, textKept)) + "..."
	}
	return plain.Valid(s)
}

// makeRoom forgets some other span where there are too many: one of them has not ended for long.
func (f *Flight) makeRoom(key spanKey) {
	if _, known := f.below[key]; known || len(f.below) < openMost {
		return
	}
	for k := range f.below {
		delete(f.below, k)
		return
	}
}

// describe takes over what the attributes say. Those of what was asked for are, in the semantic
// conventions, of HTTP, older HTTP, RPC and messaging.
func (r *Request) describe(attrs []attribute.KeyValue) {
	for _, kv := range attrs {
		switch kv.Key {
		case "url.path", "http.target", "rpc.method", "messaging.destination.name":
			r.Target = kv.Value.AsString()
		}
	}
}
