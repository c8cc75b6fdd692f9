//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"
)

// BenchmarkGoHeapWindow measures what a window of the Go heap costs: the first garbage collection after it was
// armed, which touches all live memory, beside one without the profiler, and how long arming takes and stops
// whoever touches it. A share of 0 is without the profiler.
//
//	go test ./profiler -run '^$' -bench GoHeapWindow -benchtime 20x
func BenchmarkGoHeapWindow(b *testing.B) {
	const n = 1 << 20 // 64 MiB
	h := heapList(n)
	for _, share := range []float64{0, 1.0 / 16, 0.25, 1} {
		b.Run(fmt.Sprintf("share=%.4g", share), func(b *testing.B) {
			var r *Region
			if share > 0 {
				p := newBenchProfiler(b)
				var err error
				r, err = p.AttachGoHeap(WithHeapShare(share))
				skipNotSupported(b, err)
				defer func() {
					b.ReportMetric(float64(p.Snapshot().Regions[r.ID()].Stopped.Microseconds()), "µs-stopped-at-most")
					if err := r.Close(); err != nil {
						b.Error(err)
					}
				}()
			}
			var arming time.Duration
			for b.Loop() {
				if r != nil {
					b.StopTimer()
					start := time.Now()
					if err := r.Rearm(); err != nil {
						b.Fatal(err)
					}
					arming += time.Since(start)
					b.StartTimer()
				}
				runtime.GC()
			}
			b.ReportMetric(arming.Seconds()*1e3/float64(b.N), "ms-arming")
		})
	}
	if !walkHeap(h, n) {
		b.Fatal("the list is not what it was")
	}
}

func newBenchProfiler(b *testing.B) *Profiler {
	b.Helper()
	p, err := New(WithLogLimit(0), WithFailingSystemCalls())
	skipNotSupported(b, err)
	b.Cleanup(func() {
		if err := p.Close(); err != nil {
			b.Error(err)
		}
	})
	return p
}

func skipNotSupported(b *testing.B, err error) {
	b.Helper()
	if errors.Is(err, ErrNotSupported) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
}
