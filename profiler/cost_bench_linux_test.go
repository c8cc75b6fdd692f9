//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkSparse measures what attaching, a touch, and giving back a sparse file cost, by its size: wall time,
// processor time of the process, and for how long its other threads were stopped.
//
//	go test ./profiler -run '^$' -bench Sparse -benchtime 3x
func BenchmarkSparse(b *testing.B) {
	for _, size := range []int{1 << 30, 16 << 30, 128 << 30, 1 << 40} {
		b.Run(fmt.Sprintf("GiB=%d", size>>30), func(b *testing.B) {
			var attach, rearm, detach, used spent
			stopped := time.Duration(math.MaxInt64)
			path := filepath.Join(b.TempDir(), "sparse")
			must(b, os.WriteFile(path, nil, 0o600))
			must(b, os.Truncate(path, int64(size)))
			mem := mapFile(b, path, size, unix.PROT_READ, unix.MAP_SHARED)
			for b.Loop() {
				p := newProfilerPatient(b)
				var r *Region
				attach.add(func() {
					var err error
					r, err = p.AttachFile(path)
					must(b, err)
				})
				sink = mem[size/2]
				rearm.add(func() { must(b, r.Rearm()) })
				sink = mem[size/2]
				before := p.eng.Stats().Stopped
				detach.add(func() { must(b, r.Close()) })
				stopped = min(stopped, p.eng.Stats().Stopped-before)
				used.add(func() { must(b, p.Close()) })
			}
			for name, s := range map[string]spent{"attach": attach, "rearm": rearm, "close": detach} {
				b.ReportMetric(float64(s.wall.Microseconds())/1e3/float64(b.N), "ms-"+name)
				b.ReportMetric(float64(s.processor.Microseconds())/1e3/float64(b.N), "cpu-ms-"+name)
			}
			b.ReportMetric(float64(stopped.Microseconds())/1e3, "ms-stopped-at-least")
		})
	}
}

// BenchmarkAttachResident measures what attaching a small file costs beside memory that is resident.
//
//	go test ./profiler -run '^$' -bench AttachResident -benchtime 20x
func BenchmarkAttachResident(b *testing.B) {
	for _, size := range []int{0, 256 << 20, 1 << 30, 4 << 30} {
		b.Run(fmt.Sprintf("MiB=%d", size>>20), func(b *testing.B) {
			if size > 0 {
				var has unix.Sysinfo_t
				must(b, unix.Sysinfo(&has))
				if uint64(has.Freeram)*uint64(has.Unit) < 2*uint64(size) {
					b.Skipf("less than %d MiB of memory are free", 2*size>>20)
				}
				m, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
				must(b, err)
				defer unix.Munmap(m)
			}
			path := filepath.Join(b.TempDir(), "small")
			must(b, os.WriteFile(path, make([]byte, 64<<10), 0o600))
			mapFile(b, path, 64<<10, unix.PROT_READ, unix.MAP_SHARED)
			p := newProfilerPatient(b)
			defer func() { must(b, p.Close()) }()
			var attach spent
			for b.Loop() {
				var r *Region
				attach.add(func() {
					var err error
					r, err = p.AttachFile(path)
					must(b, err)
				})
				must(b, r.Close())
			}
			b.ReportMetric(float64(attach.wall.Microseconds())/1e3/float64(b.N), "ms-attach")
			b.ReportMetric(float64(attach.processor.Microseconds())/1e3/float64(b.N), "cpu-ms-attach")
		})
	}
}

// spent is time of the clock and of the processors.
type spent struct{ wall, processor time.Duration }

func (s *spent) add(f func()) {
	start, before := time.Now(), processorTime()
	f()
	s.wall += time.Since(start)
	s.processor += processorTime() - before
}

// newProfilerPatient is a profiler that waits for busy processors.
func newProfilerPatient(b *testing.B) *Profiler {
	b.Helper()
	p, err := New(WithLogLimit(0), WithFailingSystemCalls(), WithStopLimit(10*time.Second))
	skipNotSupported(b, err)
	return p
}
