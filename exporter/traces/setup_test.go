package traces

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// fakeSource names regions, granules and stacks; its spans are fakeSpans.
type fakeSource struct {
	mu    sync.Mutex
	spans []*fakeSpan
	make  func(n int) *fakeSpan // the n-th span
}

// fakeSpan is a span whose faults were decided beforehand.
type fakeSpan struct {
	stats    profiler.SpanStats
	faults   []profiler.Fault
	ends     atomic.Int32
	released atomic.Int32

	unexported atomic.Bool
}

func (s *fakeSpan) MarkUnsampled()           { s.unexported.Store(true) }
func (s *fakeSpan) End() profiler.SpanStats  { s.ends.Add(1); return s.stats }
func (s *fakeSpan) Faults() []profiler.Fault { return s.faults }
func (s *fakeSpan) Release()                 { s.released.Add(1) }

func (f *fakeSource) begin(trace [16]byte, span [8]byte) observed {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.make(len(f.spans))
	s.stats.TraceID, s.stats.SpanID = trace, span
	f.spans = append(f.spans, s)
	return s
}

func (f *fakeSource) StartSpan([16]byte, [8]byte) *profiler.Span { panic("begin is called instead") }
func (f *fakeSource) RegionName(id profiler.RegionID) string {
	return []string{"index.db", "cache"}[id]
}
func (f *fakeSource) Granule(id profiler.RegionID) int { return []int{4096, 65536}[id] }

// Frames has an own function for each stack, beneath two frames of the runtime.
func (f *fakeSource) Frames(id profiler.StackID) []runtime.Frame {
	return []runtime.Frame{
		{Function: "runtime.memmove", File: "memmove.s", Line: 1},
		{Function: "internal/runtime/maps.(*Iter).Next", File: "table.go", Line: 2},
		{Function: []string{"", "example.com/index.Lookup", "example.com/cache.Get"}[id], File: "f.go", Line: 10 * int(id)},
		{Function: "net/http.HandlerFunc.ServeHTTP", File: "server.go", Line: 3},
	}
}

// total makes a span of the faults, with totals as the engine gives them.
func total(faults ...profiler.Fault) *fakeSpan {
	s := &fakeSpan{faults: faults}
	for _, f := range faults {
		s.stats.Faults++
		s.stats.Stall += f.Stall
		s.stats.Max = max(s.stats.Max, f.Stall)
		s.stats.Bytes += 4096
	}
	if len(faults) > 0 {
		s.stats.Regions = []profiler.RegionID{0}
	}
	return s
}

// rig is a Processor over a fakeSource in a real tracer provider.
type rig struct {
	*Processor
	src *fakeSource
	out *tracetest.SpanRecorder
	tp  *sdktrace.TracerProvider
}

func newRig(t *testing.T, make func(n int) *fakeSpan, wrap func(sdktrace.SpanProcessor) sdktrace.SpanProcessor, opts ...Option) *rig {
	t.Helper()
	r := &rig{src: &fakeSource{make: make}, out: tracetest.NewSpanRecorder()}
	var next sdktrace.SpanProcessor = r.out
	if wrap != nil {
		next = wrap(next)
	}
	r.Processor = newProcessor(r.src, r.src.begin, next, newConfig(opts))
	r.tp = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.Processor))
	t.Cleanup(func() { _ = r.tp.Shutdown(context.Background()) })
	return r
}

// request starts and ends one span.
func (r *rig) request(name string, attrs ...attribute.KeyValue) {
	_, s := r.tp.Tracer("service").Start(context.Background(), name)
	s.SetAttributes(attrs...)
	s.End()
}

// named are the spans of a name that have come out.
func (r *rig) named(name string) (out []sdktrace.ReadOnlySpan) {
	for _, s := range r.out.Ended() {
		if s.Name() == name {
			out = append(out, s)
		}
	}
	return out
}

// slowFaults are n faults of 20 us each that begin now on the faults' clock.
func slowFaults(n int) []profiler.Fault {
	fs := at(profiler.Monotonic(), n, 25*time.Microsecond, 20*time.Microsecond, 4096)
	for i := range fs {
		fs[i].Seq, fs[i].Stack = uint64(i), 1
	}
	return fs
}

func set(s sdktrace.ReadOnlySpan) attribute.Set { return attribute.NewSet(s.Attributes()...) }

func attr(s sdktrace.ReadOnlySpan, key string) (attribute.Value, bool) {
	for _, a := range s.Attributes() {
		if string(a.Key) == key {
			return a.Value, true
		}
	}
	return attribute.Value{}, false
}

func faults(s sdktrace.ReadOnlySpan) int64 {
	v, _ := attr(s, exporter.AttrFaults)
	return v.AsInt64()
}
