//go:build linux && (amd64 || arm64)

package traces

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/profiler"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

const page = 4096 * 4 // a multiple of the page size on every machine up to 16 KiB pages

// bench is a real profiler behind a real tracer.
type bench struct {
	t     *testing.T
	prof  *profiler.Profiler
	arena []byte
	out   *tracetest.SpanRecorder
	proc  *Processor
	tp    *sdktrace.TracerProvider
	tr    trace.Tracer
	next  int // first page not yet handed out
	mu    sync.Mutex
}

func newBench(t *testing.T, sampler sdktrace.Sampler, opts ...profiler.Option) *bench {
	t.Helper()
	p, err := profiler.New(append([]profiler.Option{profiler.WithGranule(page), profiler.WithFailingSystemCalls(), profiler.WithStopLimit(10 * time.Second)}, opts...)...)
	if errors.Is(err, profiler.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.NewArena("arena", 4096*page)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, prof: p, arena: a.Bytes(), out: tracetest.NewSpanRecorder()}
	b.proc = NewProcessor(p, b.out)
	b.tp = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(b.proc), sdktrace.WithSampler(sampler))
	b.tr = b.tp.Tracer("test")
	t.Cleanup(func() {
		if err := b.tp.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// touch touches k pages that nobody touched before.
func (b *bench) touch(k int) {
	b.mu.Lock()
	first := b.next
	b.next += k
	b.mu.Unlock()
	for i := range k {
		b.arena[(first+i)*page] = 1
	}
}

// spans flushes and returns what came out, by name.
func (b *bench) spans() map[string][]sdktrace.ReadOnlySpan {
	b.t.Helper()
	if err := b.proc.ForceFlush(context.Background()); err != nil {
		b.t.Fatal(err)
	}
	m := make(map[string][]sdktrace.ReadOnlySpan)
	for _, s := range b.out.Ended() {
		m[s.Name()] = append(m[s.Name()], s)
	}
	return m
}

// burstsOf adds up the bursts of a span and checks that they lie inside it.
func (b *bench) burstsOf(all []sdktrace.ReadOnlySpan, parent sdktrace.ReadOnlySpan) (sum int64) {
	for _, s := range all {
		if s.Parent().SpanID() != parent.SpanContext().SpanID() {
			continue
		}
		sum += faults(s)
		if s.StartTime().Before(parent.StartTime()) || s.EndTime().After(parent.EndTime()) || s.EndTime().Before(s.StartTime()) {
			b.t.Errorf("burst %v to %v is not inside its span, %v to %v", s.StartTime(), s.EndTime(), parent.StartTime(), parent.EndTime())
		}
		if s.SpanKind() != trace.SpanKindInternal {
			b.t.Errorf("burst of kind %v", s.SpanKind())
		}
	}
	return sum
}

func TestFaultsOfASpanAreExact(t *testing.T) {
	for name, stacks := range map[string]profiler.StackSampling{
		"every stack": profiler.StacksEvery(), "no stacks": profiler.StacksNone(), "one in seven": profiler.StacksOneIn(7),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, sdktrace.AlwaysSample(), profiler.WithStacks(stacks))
			want := map[string]int64{}
			for _, k := range []int{1, 16, 100, 300} {
				name := fmt.Sprint("request ", k)
				want[name] = int64(k)
				_, s := b.tr.Start(context.Background(), name)
				b.touch(k)
				s.End()
			}
			_, s := b.tr.Start(context.Background(), "no faults")
			b.arena[0]++
			s.End()
			got := b.spans()
			for name, k := range want {
				s := got[name][0]
				if n := faults(s); n != k {
					t.Errorf("%s: %d faults", name, n)
				}
				if v, _ := attr(s, exporter.AttrTouched); v.AsInt64() != k*page {
					t.Errorf("%s: touched %d bytes, want %d", name, v.AsInt64(), k*page)
				}
				if v, _ := attr(s, exporter.AttrRegions); len(v.AsStringSlice()) != 1 || v.AsStringSlice()[0] != "arena" {
					t.Errorf("%s: regions %v", name, v.AsStringSlice())
				}
				if v, _ := attr(s, exporter.AttrStall); v.AsFloat64() <= 0 || v.AsFloat64() > s.EndTime().Sub(s.StartTime()).Seconds() {
					t.Errorf("%s: stall of %v s in a span of %v", name, v.AsFloat64(), s.EndTime().Sub(s.StartTime()))
				}
				if n := b.burstsOf(got[exporter.SpanBurst], s); n != k && (n != 0 || k >= burstFaults) {
					t.Errorf("%s: bursts add up to %d", name, n)
				}
			}
			if _, ok := attr(got["no faults"][0], exporter.AttrFaults); ok {
				t.Error("a span without faults is decorated")
			}
		})
	}
}

func TestBurstNamesItsCaller(t *testing.T) {
	b := newBench(t, sdktrace.AlwaysSample())
	_, s := b.tr.Start(context.Background(), "request")
	b.touch(32)
	s.End()
	bursts := b.spans()[exporter.SpanBurst]
	if len(bursts) == 0 {
		t.Fatal("no burst")
	}
	want := "github.com/firsttouch/firsttouch/exporter/traces.(*bench).touch"
	if v, _ := attr(bursts[0], exporter.AttrFunction); v.AsString() != want {
		t.Errorf("caller %q, want %q", v.AsString(), want)
	}
	if v, _ := attr(bursts[0], exporter.AttrPattern); v.AsString() != "sequential" {
		t.Errorf("pattern %q", v.AsString())
	}
}

func TestInnermostSpanCounts(t *testing.T) {
	b := newBench(t, sdktrace.AlwaysSample())
	ctx, outer := b.tr.Start(context.Background(), "outer")
	b.touch(20)
	_, inner := b.tr.Start(ctx, "inner")
	b.touch(30)
	inner.End()
	b.touch(5)
	outer.End()
	b.touch(3)
	got := b.spans()
	if n := faults(got["outer"][0]); n != 25 {
		t.Errorf("outer has %d faults, want 25", n)
	}
	if n := faults(got["inner"][0]); n != 30 {
		t.Errorf("inner has %d faults, want 30", n)
	}
	if n := b.prof.Snapshot().Stats.Unattributed; n != 3 {
		t.Errorf("%d faults are unattributed, want 3", n)
	}
}

func TestSpansEndingOutOfOrder(t *testing.T) {
	b := newBench(t, sdktrace.AlwaysSample())
	ctx, outer := b.tr.Start(context.Background(), "outer")
	_, inner := b.tr.Start(ctx, "inner")
	outer.End()
	b.touch(4)
	inner.End()
	b.touch(2)
	got := b.spans()
	if n := faults(got["outer"][0]); n != 0 {
		t.Errorf("outer has %d faults, want none", n)
	}
	if n := faults(got["inner"][0]); n != 4 {
		t.Errorf("inner has %d faults, want 4", n)
	}
	if n := b.prof.Snapshot().Stats.Unattributed; n != 2 {
		t.Errorf("%d faults are unattributed, want 2", n)
	}
}

func TestConcurrentRequestsDoNotMix(t *testing.T) {
	b := newBench(t, sdktrace.AlwaysSample())
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 4 {
				_, s := b.tr.Start(context.Background(), fmt.Sprintf("request %d.%d", i, j))
				b.touch(i + j + 1)
				s.End()
			}
		})
	}
	wg.Wait()
	got := b.spans()
	for i := range 16 {
		for j := range 4 {
			name := fmt.Sprintf("request %d.%d", i, j)
			if n := faults(got[name][0]); n != int64(i+j+1) {
				t.Errorf("%s has %d faults, want %d", name, n, i+j+1)
			}
			if n := b.burstsOf(got[exporter.SpanBurst], got[name][0]); n != int64(i+j+1) && (n != 0 || i+j+1 >= burstFaults) {
				t.Errorf("the bursts of %s add up to %d, want %d", name, n, i+j+1)
			}
		}
	}
}

func TestGoroutinesOfAHandlerCountForIt(t *testing.T) {
	b := newBench(t, sdktrace.AlwaysSample())
	_, s := b.tr.Start(context.Background(), "request")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { b.touch(10) })
	}
	wg.Wait()
	s.End()
	got := b.spans()
	if n := faults(got["request"][0]); n != 80 {
		t.Errorf("%d faults, want 80", n)
	}
	if n := b.burstsOf(got[exporter.SpanBurst], got["request"][0]); n != 80 {
		t.Errorf("the bursts add up to %d, want 80", n)
	}
}

// startElsewhere starts a goroutine that no goroutine with a span has started.
func startElsewhere(f func()) {
	started := make(chan struct{})
	go func() { go f(); close(started) }()
	<-started
}

func TestBoundWorkerCountsForTheSpan(t *testing.T) {
	b := newBench(t, sdktrace.AlwaysSample())
	work, done := make(chan *profiler.Span), make(chan bool)
	startElsewhere(func() {
		for s := range work {
			unbind := s.Bind()
			b.touch(9)
			unbind()
			b.touch(1)
			done <- true
		}
		close(done)
	})
	s := b.prof.StartSpan([16]byte{1}, [8]byte{1})
	work <- s
	<-done
	close(work)
	<-done
	if got := s.End(); got.Faults != 9 {
		t.Errorf("%d faults, want 9", got.Faults)
	}
	s.Release()
	if n := b.prof.Snapshot().Stats.Unattributed; n != 1 {
		t.Errorf("%d faults are unattributed, want 1", n)
	}
}

func TestDroppedSpans(t *testing.T) {
	for _, c := range []struct {
		name         string
		sampler      sdktrace.Sampler
		unattributed uint64
	}{
		{"never reach the processor", sdktrace.NeverSample(), 12},
		{"are known with Sampler", Sampler(sdktrace.NeverSample()), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, c.sampler)
			_, s := b.tr.Start(context.Background(), "request")
			b.touch(12)
			s.End()
			if n := b.prof.Snapshot().Stats.Unattributed; n != c.unattributed {
				t.Errorf("%d faults are unattributed, want %d", n, c.unattributed)
			}
			if n := len(b.spans()[exporter.SpanBurst]); n != 0 {
				t.Errorf("%d bursts for a span that nobody sees", n)
			}
		})
	}
}
