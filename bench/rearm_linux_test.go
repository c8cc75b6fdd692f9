//go:build linux && (amd64 || arm64)

package bench

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// BenchmarkRearm arms 1 GiB of private memory again after a window in which nothing, half or all of it
// was touched, at a granule of 16 pages. Beside what an operation takes it reports the longest time for
// which touchers were stopped, as the engine measures it, and what one of them saw. What was touched is
// put away in the background; Rearm waits for what is left of that.
//
//	go test ./bench -run '^$' -bench Rearm -benchtime 10x
func BenchmarkRearm(b *testing.B) {
	const size = 1 << 30
	for _, c := range []struct {
		name  string
		every int // pages touched: one in so many, 0 for none
	}{{"untouched", 0}, {"half", 2}, {"full", 1}} {
		b.Run(c.name, func(b *testing.B) {
			p, err := profiler.New(profiler.WithFailingSystemCalls(), profiler.WithStopLimit(10*time.Second), profiler.WithStacks(profiler.StacksNone()), profiler.WithLogLimit(0), profiler.WithGranule(16*pageSize))
			skipUnsupported(b, err)
			r, err := p.NewArena("bench", size)
			if err != nil {
				b.Fatal(err)
			}
			mem := r.Bytes()
			store(mem, pageSize)
			err = r.Rearm()
			skipUnsupported(b, err)
			w := watch(mem[:pageSize])
			for b.Loop() {
				b.StopTimer()
				if c.every != 0 {
					store(mem, c.every*16*pageSize)
				}
				b.StartTimer()
				w.began.Store(int64(time.Since(w.zero)))
				if err := r.Rearm(); err != nil {
					b.Fatal(err)
				}
				w.began.Store(0)
			}
			w.stop()
			b.ReportMetric(float64(p.Snapshot().Region("bench").Stopped.Microseconds()), "max-us-stopped")
			b.ReportMetric(float64(time.Duration(w.longest.Load()).Microseconds()), "max-us-toucher-waited")
			if err := p.Close(); err != nil {
				b.Error(err)
			}
			if got := mem[size-pageSize]; got == 0 && c.every == 1 {
				b.Error("contents lost")
			}
			if err := r.Close(); err != nil {
				b.Error(err)
			}
		})
	}
}

// watcher is a goroutine that touches a page and looks at the clock without end, and keeps the longest
// time between two looks within a call of Rearm. A busy machine adds what its scheduler takes.
type watcher struct {
	zero    time.Time
	began   atomic.Int64 // when Rearm was called, since zero; 0 is not
	longest atomic.Int64
	over    atomic.Bool
	done    sync.WaitGroup
}

func watch(mem []byte) *watcher {
	w := &watcher{zero: time.Now()}
	w.done.Go(func() {
		last := time.Since(w.zero)
		for !w.over.Load() {
			mem[0]++
			now := time.Since(w.zero)
			if began := time.Duration(w.began.Load()); began != 0 {
				w.longest.Store(max(w.longest.Load(), int64(now-max(last, began))))
			}
			last = now
		}
	})
	return w
}

func (w *watcher) stop() {
	w.over.Store(true)
	w.done.Wait()
}
