package traces

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// job is an ended span whose bursts are to be made.
type job struct {
	observed
	faults     uint64 // in all, also those without a record
	tracer     trace.Tracer
	parent     trace.SpanContext
	start, end time.Time
}

// enqueue never waits: a request's goroutine is calling. It reports whether the job was taken.
func (p *Processor) enqueue(j job) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.closed {
		select {
		case p.jobs <- j:
			return true
		default:
		}
	}
	p.dropped.Add(1)
	return false
}

// work makes bursts until Shutdown closes the queue and it is empty.
func (p *Processor) work() {
	defer close(p.done)
	for {
		select {
		case j, ok := <-p.jobs:
			if !ok {
				return
			}
			p.process(&j)
		case flushed := <-p.flushes:
			for range len(p.jobs) {
				// Nobody else receives, so that many are there.
				j := <-p.jobs
				p.process(&j)
			}
			close(flushed)
		}
	}
}

func (p *Processor) process(j *job) {
	defer j.Release()
	if p.abandoned.Load() {
		p.dropped.Add(1)
		return
	}
	p.export(j)
}

// ForceFlush makes the bursts of all spans that have ended, and flushes the next processor. When the
// context ends first, its error is returned and the bursts are made later.
func (p *Processor) ForceFlush(ctx context.Context) error {
	flushed := make(chan struct{})
	select {
	case p.flushes <- flushed:
		select {
		case <-flushed:
		case <-ctx.Done():
			return fmt.Errorf("traces: flush bursts: %w", context.Cause(ctx))
		}
	case <-p.done:
	case <-ctx.Done():
		return fmt.Errorf("traces: flush bursts: %w", context.Cause(ctx))
	}
	return p.next.ForceFlush(ctx)
}

// Shutdown makes the bursts that still wait and shuts the next processor down. What is not made when
// the context ends is dropped and counted. Spans that end later pass through as they are.
func (p *Processor) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.jobs)
	}
	p.mu.Unlock()
	var err error
	select {
	case <-p.done:
	case <-ctx.Done():
		// The worker waits for the backend, and ends as soon as that lets it go.
		p.abandoned.Store(true)
		err = fmt.Errorf("traces: drain bursts: %w", context.Cause(ctx))
	}
	p.live.Range(func(k, _ any) bool {
		if v, ok := p.live.LoadAndDelete(k); ok {
			v.(*liveSpan).Release()
		}
		return true
	})
	return errors.Join(err, p.next.Shutdown(ctx))
}
