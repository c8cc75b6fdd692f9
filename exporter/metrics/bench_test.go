package metrics

import (
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// BenchmarkRecord is what one fault costs the goroutine that records it, in runs of 16 of one span.
func BenchmarkRecord(b *testing.B) {
	src := newSource(region("index.db", 1<<30))
	refs := []profiler.SpanRef{src.span(1, 1, false), src.span(2, 2, false)}
	e, err := New(WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))))
	if err != nil {
		b.Fatal(err)
	}
	r := newRecorder(src, newNames(src.RegionGroup), &e.ins)
	faults := make([]profiler.Fault, 1024)
	var now time.Duration
	b.ReportAllocs()
	for b.Loop() {
		for i := range faults {
			now += 10 * us
			faults[i] = profiler.Fault{Time: now, Stall: 5 * us, Offset: int64(i) << 20, Goroutine: 1, Span: refs[i/16%2], Source: profiler.SourceDisk}
		}
		r.record(faults)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(faults)), "ns/fault")
}
