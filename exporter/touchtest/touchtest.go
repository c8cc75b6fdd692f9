// Package touchtest guards in go test which memory a piece of code touches: how many pages of a mapped file or of memory outside the Go heap it
// makes accessible, which ranges, and on whose behalf.
//
//	touchtest.Run(t, touchtest.File(path), func() { index.Lookup("Reader") },
//		touchtest.MaxTouched(64<<10), touchtest.Only(index.Keys()))
//
// A failure shows the code that touched the memory and a small map of it. Benchmark reports pages/op, touched-B/op and stall-ns/op, for
// benchstat.
//
// All memory is untouched again when the function begins, whatever was touched before, so that counts do not depend on what ran before. They are
// pages that the program touches, and do not depend on what the page cache holds; only waits do. Touches of all goroutines count.
//
// One process has one profiler: the tests of a package that run in parallel wait for each other here, and a test that has an agent or a profiler
// of its own cannot use this package while it runs. Where the system refuses to be profiled, the test is skipped with the reason. As an ordinary
// user a system call that is handed memory before its first touch fails with EFAULT while the function runs; a line in the test's log says so.
package touchtest

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
)

// Memory is what is watched: File or Bytes.
type Memory struct {
	name   string
	attach func(*profiler.Profiler) (*profiler.Region, error)
}

// File is every mapping that this process has of a file. Whoever maps it, such as bbolt, does so before. Offsets are those of the file.
func File(path string) Memory {
	return Memory{path, func(p *profiler.Profiler) (*profiler.Region, error) { return p.AttachFile(path) }}
}

// Bytes is memory outside the Go heap, such as a slice of mmap(2); see profiler.AttachMemory for what it may be. Offsets begin with the slice's
// first whole page.
func Bytes(name string, memory []byte) Memory {
	return Memory{name, func(p *profiler.Profiler) (*profiler.Region, error) { return p.AttachMemory(name, memory) }}
}

// Range is a part of the memory, in bytes.
type Range struct{ Offset, Length int64 }

func (r Range) end() int64 { return r.Offset + r.Length }

// Result is what the function touched. Sizes are in bytes.
type Result struct {
	Faults  uint64 // first touches: each makes one page accessible
	Touched int64
	Stall   time.Duration // for how long threads waited for them, the profiler's own time included
	Ranges  []Range       // what was touched, ascending, whole pages
	// Snapshot has it all: callers, order, sources.
	Snapshot *profiler.Snapshot

	region profiler.RegionID
	size   int64
	page   int64
}

// Limit is a bound on what the function may touch: MaxTouched, MaxFaults or Only.
type Limit func(r *Result) (problem string, bad []Range)

// MaxTouched bounds the bytes touched, in whole pages.
func MaxTouched(bytes int64) Limit {
	return func(r *Result) (string, []Range) {
		if r.Touched <= bytes {
			return "", nil
		}
		return fmt.Sprintf("%d bytes were touched, and at most %d are allowed", r.Touched, bytes), nil
	}
}

// MaxFaults bounds the first touches, which are pages.
func MaxFaults(n uint64) Limit {
	return func(r *Result) (string, []Range) {
		if r.Faults <= n {
			return "", nil
		}
		return fmt.Sprintf("%d pages were touched, and at most %d are allowed", r.Faults, n), nil
	}
}

// Only allows touches in these ranges alone. A page is allowed where a range has a part of it.
func Only(ranges ...Range) Limit {
	return func(r *Result) (string, []Range) {
		var bad []Range
		for _, t := range r.Ranges {
			for at := t.Offset; at < t.end(); at += r.page {
				if !slices.ContainsFunc(ranges, func(a Range) bool { return a.Offset < at+r.page && a.end() > at }) {
					if k := len(bad) - 1; k >= 0 && bad[k].end() == at {
						bad[k].Length += r.page
					} else {
						bad = append(bad, Range{at, r.page})
					}
				}
			}
		}
		if len(bad) == 0 {
			return "", nil
		}
		return fmt.Sprintf("%d pages were touched outside of the ranges that are allowed, the first one at offset %d", within(bad, 0, math.MaxInt64)/r.page, bad[0].Offset), bad
	}
}

// Run runs f, and fails the test where it touches more of the memory than the limits allow. Without limits it only counts.
func Run(t testing.TB, m Memory, f func(), limits ...Limit) Result {
	t.Helper()
	w := watch(t, m)
	defer w.end(t)
	f()
	r := w.result()
	for _, l := range limits {
		if problem, bad := l(&r); problem != "" {
			t.Errorf("%s: %s\n%s", m.name, problem, r.picture(bad))
		}
	}
	w.check(t)
	return r
}

// Benchmark runs f b.N times, each time with all of the memory untouched, and reports per run the pages (pages/op), their bytes (touched-B/op) and
// how long threads waited for them (stall-ns/op). Making the memory untouched again is not in the time, and takes more of it than f where f is
// short: give -benchtime as a number of runs, such as 100x. The memory has to be such that can be armed again: files and shared memory can, and
// private memory since Linux 6.8.
func Benchmark(b *testing.B, m Memory, f func()) {
	b.Helper()
	w := watch(b, m)
	defer w.end(b)
	first := true
	for b.Loop() {
		if !first {
			b.StopTimer()
			w.rearm(b)
			b.StartTimer()
		}
		first = false
		f()
	}
	r := w.result()
	w.check(b)
	n := float64(b.N)
	var bytes uint64
	for _, g := range r.Snapshot.Groups {
		if g.Region == w.region.ID() {
			bytes += g.Bytes
		}
	}
	b.ReportMetric(float64(r.Faults)/n, "pages/op")
	b.ReportMetric(float64(bytes)/n, "touched-B/op")
	b.ReportMetric(float64(r.Stall.Nanoseconds())/n, "stall-ns/op")
}

// one is held by who watches: a process has one profiler.
var one sync.Mutex

// watched is memory that is watched.
type watched struct {
	m      Memory
	prof   *profiler.Profiler
	region *profiler.Region
}

// patience is how long a busy machine may take to stop the process's threads, for which there is no hurry in a test.
const patience = 10 * time.Second

func watch(t testing.TB, m Memory) *watched {
	t.Helper()
	one.Lock()
	w := &watched{m: m}
	fail := func(what string, err error) {
		t.Helper()
		w.end(t)
		if errors.Is(err, profiler.ErrNotSupported) {
			t.Skipf("touchtest: %s cannot be watched here: %v", m.name, err)
		}
		t.Fatalf("touchtest: %s: %s: %v", m.name, what, err)
	}
	var err error
	if w.prof, err = profiler.New(profiler.WithFailingSystemCalls(), profiler.WithStopLimit(patience)); err != nil {
		fail("start the profiler", err)
	}
	err = again(func() (err error) {
		w.region, err = m.attach(w.prof)
		return err
	})
	if err != nil {
		fail("watch it", err)
	}
	if w.prof.Snapshot().Stats.UserModeOnly {
		t.Logf("touchtest: a system call that is handed a page of %s before its first touch fails with EFAULT here: firsttouch doctor says what to change", m.name)
	}
	return w
}

func (w *watched) rearm(t testing.TB) {
	t.Helper()
	if err := again(w.region.Rearm); err != nil {
		t.Fatalf("touchtest: %s: make it untouched again: %v", w.m.name, err)
	}
}

// end gives the memory back.
func (w *watched) end(t testing.TB) {
	t.Helper()
	defer one.Unlock()
	if w.prof == nil {
		return
	}
	if err := again(w.prof.Close); err != nil {
		t.Errorf("touchtest: %s: give it back: %v", w.m.name, err)
	}
}

// again tries until the process's threads could be stopped.
func again(do func() error) error {
	for deadline := time.Now().Add(patience); ; {
		err := do()
		if !errors.Is(err, profiler.ErrBusy) || time.Now().After(deadline) {
			return err
		}
		pause := 10 * time.Millisecond
		if busy := (*profiler.BusyError)(nil); errors.As(err, &busy) {
			pause = max(pause, busy.RetryAfter)
		}
		time.Sleep(min(pause, time.Second))
	}
}

// check fails the test where the counts are not exact.
func (w *watched) check(t testing.TB) {
	t.Helper()
	s := w.prof.Snapshot()
	r := s.RegionOf(w.region.ID())
	switch {
	case s.Stats.Off != "":
		t.Errorf("touchtest: %s: the profiler was taken off: %s", w.m.name, s.Stats.Off)
	case s.Stats.Dropped > 0 || r.Widened > 0:
		t.Errorf("touchtest: %s: the counts are too low: %d first touches were dropped, and %d pages became accessible with a neighbour", w.m.name, s.Stats.Dropped, r.Widened)
	}
}

func (w *watched) result() Result {
	w.prof.Flush()
	s := w.prof.Snapshot()
	r := s.RegionOf(w.region.ID())
	out := Result{Faults: r.Faults, Touched: r.Touched, Stall: r.Stall.Sum, Snapshot: s, region: r.ID, size: r.Size, page: int64(r.Granule)}
	for run := range r.Runs {
		out.Ranges = append(out.Ranges, Range{int64(run.First) * out.page, int64(run.Count) * out.page})
	}
	return out
}

// columns is how wide the map is.
const columns = 64

// pagesOf is how many pages a character of the map stands for: a power of two.
func (r *Result) pagesOf() int64 {
	pages := (r.size + r.page - 1) / r.page
	if pages <= columns {
		return 1
	}
	return 1 << bits.Len64(uint64((pages-1)/columns))
}
