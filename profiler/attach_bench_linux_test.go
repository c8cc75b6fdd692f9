//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkAttachMany measures what it takes to observe a file that has many mappings, and to give them back: processor time of
// the whole process a mapping, how often the other threads were stopped, and for how long at most at once. What the first attach of
// a profiler costs, of one mapping of another file, stands beside it: threads get to know its signal, and its tables their memory. It is once each,
// whatever b.N: the file's mappings are made anew.
//
//	go test ./profiler -run '^$' -bench AttachMany -benchtime 1x
func BenchmarkAttachMany(b *testing.B) {
	for _, n := range []int{1, 10, 100, 500, 1000, 2000, 5000, 20000} {
		b.Run(fmt.Sprintf("mappings=%d", n), func(b *testing.B) {
			for b.Loop() {
				attachMany(b, n)
			}
		})
	}
}

func attachMany(b *testing.B, n int) {
	const length = 16
	path := diskFile(b, length*pageSize)
	p := newBenchProfiler(b)
	defer p.Close()
	for range n {
		mapFile(b, path, length*pageSize, unix.PROT_READ, unix.MAP_SHARED)
	}
	first := diskFile(b, pageSize)
	mapFile(b, first, pageSize, unix.PROT_READ, unix.MAP_SHARED)
	begun := processorTime()
	_, err := attached(func() (*Region, error) { return p.AttachFile(first) })
	must(b, err)
	b.ReportMetric(float64((processorTime() - begun).Microseconds()), "µs-cpu-first-attach")
	before, start, cpu := p.Snapshot().Stats, time.Now(), processorTime()
	r, err := attached(func() (*Region, error) { return p.AttachFile(path) })
	if err != nil {
		b.Fatal(err)
	}
	s := p.Snapshot()
	for len(s.Regions[r.ID()].Mappings) < n && time.Since(start) < time.Minute { // threads could not be stopped
		if err := p.Look(b.Context()); err != nil {
			b.Fatal(err)
		}
		s = p.Snapshot()
	}
	took, used := time.Since(start), processorTime()-cpu
	if have := len(s.Regions[r.ID()].Mappings); have != n {
		b.Errorf("%d mappings are observed, of %d", have, n)
	}
	b.ReportMetric(float64(took.Milliseconds()), "ms-attach")
	b.ReportMetric(float64(used.Microseconds())/float64(n), "µs-cpu-attach/mapping")
	b.ReportMetric(float64(s.Stats.Stops-before.Stops), "stops")
	b.ReportMetric(float64((s.Stats.Stopped - before.Stopped).Milliseconds()), "ms-stopped")
	cpu = processorTime()
	p.look()
	b.ReportMetric(float64((processorTime()-cpu).Microseconds())/float64(n), "µs-cpu-look/mapping")
	before, start, cpu = p.Snapshot().Stats, time.Now(), processorTime()
	if err := patiently(r.Close); err != nil {
		b.Fatal(err)
	}
	took, used = time.Since(start), processorTime()-cpu
	s = p.Snapshot()
	b.ReportMetric(float64(took.Milliseconds()), "ms-close")
	b.ReportMetric(float64(used.Microseconds())/float64(n), "µs-cpu-close/mapping")
	b.ReportMetric(float64(s.Stats.Stops-before.Stops), "stops-close")
}

// processorTime is what all threads of the process have used.
func processorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
