package agent

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/uffdtest"
	"golang.org/x/sys/unix"
)

// BenchmarkStart is what Start takes in a process that has so many mappings of a file that it names, in wall and processor time, and until all of
// them are observed.
//
//	go test ./agent -run '^$' -bench Start -benchtime 1x
func BenchmarkStart(b *testing.B) {
	uffdtest.Need(b)
	for _, n := range []int{1, 1000, 20000} {
		b.Run(fmt.Sprintf("mappings=%d", n), func(b *testing.B) {
			page := os.Getpagesize()
			path := b.TempDir() + "/data"
			if err := os.WriteFile(path, make([]byte, page), 0o600); err != nil {
				b.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			for range n {
				m, err := unix.Mmap(int(f.Fd()), 0, page, unix.PROT_READ, unix.MAP_SHARED)
				if err != nil {
					b.Fatal(err)
				}
				defer unix.Munmap(m)
			}
			var started, observed time.Duration
			var used time.Duration
			for b.Loop() {
				before, begun := processorTime(b), time.Now()
				a, err := Start(b.Context(), WithFiles(path))
				if err != nil {
					b.Fatal(err)
				}
				started, used = started+time.Since(begun), used+processorTime(b)-before
				for {
					s := a.Profiler().Snapshot()
					if len(s.Regions) == 1 && len(s.Regions[0].Mappings) == n {
						break
					}
					if time.Since(begun) > time.Minute {
						b.Fatalf("not all are observed: %v", a.Notes())
					}
					time.Sleep(time.Millisecond)
				}
				observed += time.Since(begun)
				if err := a.Shutdown(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(started.Microseconds())/1e3/float64(b.N), "ms-start")
			b.ReportMetric(float64(used.Microseconds())/1e3/float64(b.N), "cpu-ms-start")
			b.ReportMetric(float64(observed.Microseconds())/1e3/float64(b.N), "ms-until-observed")
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
