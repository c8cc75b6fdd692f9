package traces

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// deadBackend is a span processor that takes the service's spans and hangs on bursts, as an exporter
// does that is called synchronously and whose backend does not answer.
type deadBackend struct {
	sdktrace.SpanProcessor
	reached chan struct{} // closed when the first burst hangs
	once    sync.Once
	answer  chan struct{}
}

func newDeadBackend(next sdktrace.SpanProcessor) *deadBackend {
	return &deadBackend{SpanProcessor: next, reached: make(chan struct{}), answer: make(chan struct{})}
}

func (b *deadBackend) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.Name() == exporter.SpanBurst {
		b.once.Do(func() { close(b.reached) })
		<-b.answer
	}
	b.SpanProcessor.OnEnd(s)
}

func withDeadBackend(t *testing.T, opts ...Option) (*rig, *deadBackend) {
	var b *deadBackend
	r := newRig(t, func(int) *fakeSpan { return total(slowFaults(20)...) }, func(next sdktrace.SpanProcessor) sdktrace.SpanProcessor {
		b = newDeadBackend(next)
		return b
	}, opts...)
	return r, b
}

func soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 20*time.Millisecond)
}

// released counts the spans that were given back, and fails where one was twice.
func (r *rig) released(t *testing.T) (n int) {
	t.Helper()
	for i, s := range r.src.spans {
		switch c := s.released.Load(); c {
		case 0:
		case 1:
			n++
		default:
			t.Errorf("span %d was released %d times", i, c)
		}
	}
	return n
}

func TestADeadBackendCostsBurstsAndNotTime(t *testing.T) {
	const queue, requests = 2, 40
	r, b := withDeadBackend(t, WithQueue(queue))
	r.request("request")
	<-b.reached
	for range requests - 1 {
		r.request("request") // would hang here if it waited for the backend
	}
	if n := len(r.named("request")); n != requests {
		t.Errorf("%d of %d spans came through", n, requests)
	}
	if n := r.Dropped(); n != requests-queue-1 {
		t.Errorf("the bursts of %d spans are counted as dropped, want %d", n, requests-queue-1)
	}
	if n := r.released(t); n != requests-queue-1 {
		t.Errorf("%d spans are given back, want those that were dropped, %d", n, requests-queue-1)
	}
	ctx, cancel := soon()
	defer cancel()
	if err := r.ForceFlush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the flush of a dead backend reports %v", err)
	}
	close(b.answer)
	if err := r.tp.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(r.named(exporter.SpanBurst)); n != queue+1 {
		t.Errorf("%d bursts, want %d", n, queue+1)
	}
	if n := r.released(t); n != requests {
		t.Errorf("%d spans are given back, want all %d", n, requests)
	}
}

func TestShutdownOfADeadBackendEnds(t *testing.T) {
	r, b := withDeadBackend(t)
	r.request("request")
	<-b.reached
	r.request("request")
	r.request("request")
	_, open := r.tp.Tracer("service").Start(context.Background(), "never ended")
	ctx, cancel := soon()
	defer cancel()
	if err := r.tp.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown reports %v", err)
	}
	close(b.answer)
	<-r.done // the goroutine ends as soon as the backend lets it go
	if n := r.Dropped(); n != 2 {
		t.Errorf("the bursts of %d spans are counted as dropped, want 2", n)
	}
	if n := r.released(t); n != 4 {
		t.Errorf("%d spans are given back, want 4, the one that never ended too", n)
	}
	open.End()
	if n := r.released(t); n != 4 {
		t.Errorf("%d spans are given back", n)
	}
}

// The provider gives no tracers any more while it shuts down, and what waits is made all the same.
func TestShutdownMakesWhatWaits(t *testing.T) {
	r, b := withDeadBackend(t)
	for range 10 {
		r.request("request")
	}
	<-b.reached
	finished := make(chan error)
	go func() { finished <- r.tp.Shutdown(context.Background()) }()
	for !r.isClosed() {
		time.Sleep(time.Millisecond)
	}
	close(b.answer)
	if err := <-finished; err != nil {
		t.Error(err)
	}
	if n := len(r.named(exporter.SpanBurst)); n != 10 || r.Dropped() != 0 {
		t.Errorf("%d bursts, want 10, %d dropped", n, r.Dropped())
	}
}

func TestAfterShutdown(t *testing.T) {
	r := newRig(t, func(int) *fakeSpan { return total(slowFaults(20)...) }, nil)
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r.Processor))
	if err := r.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	_, s := tp.Tracer("service").Start(context.Background(), "request")
	s.End()
	if len(r.src.spans) != 0 || len(r.named("request")) != 1 {
		t.Errorf("%d spans were bound, %d came through", len(r.src.spans), len(r.named("request")))
	}
	if err := errors.Join(r.ForceFlush(context.Background()), r.Shutdown(context.Background())); err != nil {
		t.Error(err)
	}
}

func TestFlushShutdownAndRequestsAtOnce(t *testing.T) {
	r := newRig(t, func(int) *fakeSpan { return total(slowFaults(16)...) }, nil, WithQueue(4))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				r.request("request")
			}
		})
		wg.Go(func() {
			for range 10 {
				if err := r.ForceFlush(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		if err := r.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	// Spans that started before the shutdown and ended after it.
	if err := r.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if n := r.released(t); n != len(r.src.spans) {
		t.Errorf("%d of %d spans are given back", n, len(r.src.spans))
	}
	if n := len(r.named(exporter.SpanBurst)) + int(r.Dropped()); n > len(r.src.spans) {
		t.Errorf("%d bursts and drops of %d spans", n, len(r.src.spans))
	}
}
