//go:build amd64 || arm64

package traces

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/internal/run"
	"github.com/firsttouch/firsttouch/profiler"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// discard is the end of the way: what is measured is what comes before it.
type discard struct{}

func (discard) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (discard) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (discard) Shutdown(context.Context) error                  { return nil }
func (discard) ForceFlush(context.Context) error                { return nil }

// BenchmarkSpan is a span that touches nothing new: plain, and with a Processor and a real profiler.
func BenchmarkSpan(b *testing.B) {
	run := func(b *testing.B, sp sdktrace.SpanProcessor) {
		tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(sp))
		tr := tp.Tracer("service")
		b.ReportAllocs()
		for b.Loop() {
			_, s := tr.Start(context.Background(), "request")
			s.End()
		}
		if err := tp.Shutdown(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("plain", func(b *testing.B) { run(b, discard{}) })
	b.Run("processor", func(b *testing.B) {
		p, err := profiler.New()
		if errors.Is(err, profiler.ErrNotSupported) {
			b.Skip(err)
		}
		if err != nil {
			b.Fatal(err)
		}
		defer p.Close()
		run(b, NewProcessor(p, discard{}))
	})
}

// BenchmarkBursts groups the most faults that a span keeps, in runs of 16.
func BenchmarkBursts(b *testing.B) {
	var fs []profiler.Fault
	for i := range 256 {
		fs = append(fs, at(time.Duration(i)*2*run.Gap, 16, 10, 5, 4096)...)
	}
	b.ReportAllocs()
	for b.Loop() {
		if n := count(bursts(fs, 0)); n != len(fs) {
			b.Fatalf("%d of %d faults", n, len(fs))
		}
	}
}
