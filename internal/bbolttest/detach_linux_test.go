package bbolttest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
)

// A region that is given back under readers is the one plain mapping that it was, and can be
// attached again.
func TestDetachWhileRead(t *testing.T) {
	for _, c := range []struct {
		procs int
		guard bool
	}{{1, false}, {2, true}, {8, false}} {
		t.Run(fmt.Sprintf("procs=%d,guard=%v", c.procs, c.guard), func(t *testing.T) {
			if !inChild(t, []string{fmt.Sprintf("GOMAXPROCS=%d", c.procs)}) {
				return
			}
			d := openDatabase(t, 20000)
			before := fileVMAs(t, d.path)
			if len(before) != 1 {
				t.Fatalf("mapped as %v", before)
			}
			p := start(t, profiler.WithRescan(time.Millisecond))
			var opts []profiler.RegionOption
			if c.guard {
				opts = append(opts, profiler.WithGuard(d.guard))
			}
			d.readers(t, 8)
			var attached, given []time.Duration
			for range testproc.Times(2, 6) {
				begin := time.Now()
				r := attach(t, p, d.path, opts...)
				attached = append(attached, time.Since(begin))
				eventually(t, "the readers touch pages", func() bool { return region(t, p, r).Faults >= 100 })
				begin = time.Now()
				detach(t, r)
				given = append(given, time.Since(begin))
				checkPlain(t, d.path, before[0])
				if s := region(t, p, r); !s.Detached || len(s.Mappings) != 0 || s.Mapped != 0 {
					t.Errorf("after detaching: %+v", s)
				}
			}
			d.halt()
			d.verify(t, "after detaching")
			t.Logf("attached in %v to %v, given back in %v to %v, %d reads",
				slices.Min(attached), slices.Max(attached), slices.Min(given), slices.Max(given), d.reads.Load())
		})
	}
}
