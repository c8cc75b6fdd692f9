package bbolttest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/profiler"
	"golang.org/x/sys/unix"
)

// A database that grows while it is read and profiled stays right, and every mapping that bbolt
// makes of it on the way is profiled without being asked.
func TestBoltWriting(t *testing.T) {
	for _, c := range []struct {
		procs, granule int
		guard          bool
		user           uint32
	}{
		{procs: 1, granule: page, guard: true},
		{procs: 8, granule: 64 << 10, guard: true},
		{procs: 2, granule: page},
		{procs: 8, granule: 64 << 10},
		{procs: 2, granule: page, guard: true, user: 65534},
	} {
		t.Run(fmt.Sprintf("procs=%d,granule=%dK,guard=%v,user=%d", c.procs, c.granule>>10, c.guard, c.user), func(t *testing.T) {
			env := []string{fmt.Sprintf("GOMAXPROCS=%d", c.procs)}
			var opts []testproc.Option
			if c.user != 0 {
				if os.Getuid() != 0 && os.Getenv(childEnv) == "" {
					t.Skip("only root can change the user")
				}
				opts = append(opts, testproc.AsUser(c.user))
			}
			if inChild(t, env, opts...) {
				grow(t, c.granule, c.guard)
			}
		})
	}
}

func grow(t *testing.T, granule int, guard bool) {
	d := openDatabase(t, 100)
	p := start(t, profiler.WithRescan(20*time.Millisecond), profiler.WithGranule(granule))
	var opts []profiler.RegionOption
	if guard {
		opts = append(opts, profiler.WithGuard(d.guard))
	}
	r := attach(t, p, d.path, opts...)
	d.readers(t, 8)
	moves, windows := 0, 0
	lo, _ := d.extent(t)
	at := profiler.MappingStats{Start: lo}
	steps := testproc.Times(5, 8)
	for step := range steps {
		d.put(t, 250<<step)
		made := monotonic(t)
		lo, size := d.extent(t)
		now := at
		eventually(t, "bbolt's mapping is the one that is observed", func() bool {
			m, ok := joined(region(t, p, r).Mappings)
			if !ok || m.Start != lo || m.End-lo < size {
				return false
			}
			now = m
			return true
		})
		if now.Start != at.Start || now.End != at.End {
			moves++
			at = now
			checkKnownSince(t, now, made)
		}
		eventually(t, "touches of the mapping are recorded", func() bool { return faultsIn(p.Snapshot(), r, now) > 0 })
		if step%2 == 1 {
			begin := time.Now()
			rearm(t, r)
			t.Logf("armed %d KiB again in %v", (at.End-at.Start)>>10, time.Since(begin))
			windows++
		}
	}
	d.verify(t, "while profiled")
	d.halt()
	s := p.Snapshot()
	if moves < steps-2 {
		t.Errorf("the database moved %d times, the test wants %d", moves, steps-2)
	}
	if s.Regions[r.ID()].Rearms != uint64(windows) {
		t.Errorf("%d windows, want %d", s.Regions[r.ID()].Rearms, windows)
	}
	last, _ := joined(region(t, p, r).Mappings)
	if n := checkOnce(t, s, r, last, granule); n == 0 {
		t.Error("no touch of the last mapping was recorded")
	}
	begin := time.Now()
	detach(t, r)
	t.Logf("%d reads, %d faults, %d moves; given back in %v", d.reads.Load(), s.Stats.Faults, moves, time.Since(begin))
	d.verify(t, "after detaching")
	if got := fileVMAs(t, d.path); len(got) != 1 || got[0].lo != at.Start || got[0].hi != at.End {
		t.Errorf("after detaching the file is mapped at %v, want %x-%x", got, at.Start, at.End)
	}
}

// joined is one mapping that is observed in pieces. A new one that lies where the last one lay, all of
// which was touched, looks like that one with a new piece behind it: it is known since that was found.
func joined(list []profiler.MappingStats) (m profiler.MappingStats, ok bool) {
	for i, p := range list {
		if i > 0 && p.Start != m.End {
			return m, false
		}
		if i > 0 {
			p.Start = m.Start
		}
		m = p
	}
	return m, len(list) > 0
}

// checkKnownSince asserts that the profiler does not claim to know more than it does: the mapping
// was made at the latest at the time given, and may be unobserved for Latency.
func checkKnownSince(t *testing.T, m profiler.MappingStats, made time.Duration) {
	t.Helper()
	if m.Latency <= 0 || m.Since <= 0 {
		t.Errorf("a mapping that bbolt made is said to be known %v after it was made, since %v", m.Latency, m.Since)
	}
	if m.Since-m.Latency > made {
		t.Errorf("armed at %v, at most %v after it was made, but it was made before %v", m.Since, m.Latency, made)
	}
	t.Logf("%d KiB observed at most %v after they were mapped", (m.End-m.Start)>>10, m.Latency)
}

// faultsIn counts the recorded faults of a mapping since it was armed last.
func faultsIn(s *profiler.Snapshot, r *profiler.Region, m profiler.MappingStats) (n int) {
	for _, f := range s.Faults {
		if f.Region == r.ID() && f.Time >= m.Since && m.Start <= f.Address && f.Address < m.End {
			n++
		}
	}
	return n
}

// checkOnce asserts that no granule of the mapping was counted twice since it was armed last.
func checkOnce(t *testing.T, s *profiler.Snapshot, r *profiler.Region, m profiler.MappingStats, granule int) int {
	t.Helper()
	seen, twice := make(map[int64]bool), 0
	for _, f := range s.Faults {
		if f.Region != r.ID() || f.Time < m.Since || f.Address < m.Start || f.Address >= m.End {
			continue
		}
		g := f.Offset / int64(granule)
		if seen[g] {
			twice++
		}
		seen[g] = true
	}
	if twice > 0 {
		t.Errorf("%d granules of %d were counted more than once", twice, len(seen))
	}
	return len(seen)
}

func monotonic(t *testing.T) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}
