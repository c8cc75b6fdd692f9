//go:build linux && (amd64 || arm64)

package profiler

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkFilesComeAndGo is what files cost that are mapped, attached, touched, unmapped and deleted: 1,500 of them, then as many
// again, each in processor time of the whole process; and what the profiler costs afterwards, when one file is left, as a share of
// a processor.
func BenchmarkFilesComeAndGo(b *testing.B) {
	const files = 1500
	p := newProfiler(b)
	dir := b.TempDir()
	_, unmap := shortLived(b, filepath.Join(dir, "stays"), 2)
	defer unmap()
	keep := attachNow(b, p, filepath.Join(dir, "stays"))
	defer keep.Close()
	n := 0
	round := func() float64 {
		before := processTime(b)
		var last *Region
		for range files {
			path := filepath.Join(dir, fmt.Sprint(n))
			n++
			m, unmap := shortLived(b, path, 2)
			last = attachNow(b, p, path, WithGroup("segments"), UntilUnmapped())
			if m[0] == 0 {
				b.Fatal("not what the file holds")
			}
			unmap()
			if err := os.Remove(path); err != nil {
				b.Fatal(err)
			}
		}
		closedBy(b, p, last)
		return (processTime(b) - before).Seconds() * 1000
	}
	for b.Loop() {
		first, second := round(), round()
		time.Sleep(leaveGone + 2*time.Second) // until all of them are closed
		before, began := processTime(b), time.Now()
		time.Sleep(5 * time.Second)
		b.ReportMetric(first, "first-1500-ms")
		b.ReportMetric(second, "second-1500-ms")
		b.ReportMetric(100*(processTime(b)-before).Seconds()/time.Since(began).Seconds(), "after-%cpu")
		b.ReportMetric(float64(len(p.Snapshot().Regions)), "regions-listed")
	}
}

// processTime is the processor time of the process, with its system calls.
func processTime(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
