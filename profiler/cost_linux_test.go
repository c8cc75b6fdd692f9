//go:build linux && (amd64 || arm64)

package profiler

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// minorFaults counts the pages that the process was given: what walks over an array as large as a mapping takes them.
func minorFaults(t testing.TB) int64 {
	t.Helper()
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return u.Minflt
}

// sparseFile makes a file that has a size and nothing in it.
func sparseFile(t testing.TB, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sparse")
	must(t, os.WriteFile(path, nil, 0o600))
	must(t, os.Truncate(path, size))
	return path
}

// What is done to a mapping takes memory, and so time, by what was touched of it and not by its size: a TiB has
// 268,435,456 pages, of which one is touched here, and a byte for each would be 65,536 page faults.
func TestCostsOfASparseMappingGoByWhatWasTouched(t *testing.T) {
	const size = 1 << 40
	path := sparseFile(t, size)
	mem := mapFile(t, path, size, unix.PROT_READ, unix.MAP_SHARED)
	p := newProfiler(t)
	var r *Region
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"attach", func() (err error) { r, err = p.AttachFile(path); return err }},
		{"touch", func() error { sink = mem[size/2]; return nil }},
		{"look", func() error { r.mu.Lock(); defer r.mu.Unlock(); return r.lookNow() }},
		{"snapshot", func() error { p.Flush(); p.Snapshot(); return nil }},
		{"rearm", func() error { return r.Rearm() }},
		{"touch again", func() error { sink = mem[size/2]; return nil }},
		{"close", func() error { return r.Close() }},
	} {
		before := minorFaults(t)
		must(t, step.do())
		if n := minorFaults(t) - before; n > 8192 {
			t.Errorf("%s of a sparse TiB took %d page faults", step.name, n)
		}
	}
	if got := p.Snapshot().Regions[r.ID()]; got.Faults != 2 || got.Touched != int64(got.Granule) {
		t.Errorf("%d faults, %d bytes touched", got.Faults, got.Touched)
	}
}

// What is left of a placeholder in thousands of pieces goes back in steps, between which the other threads run, and
// nothing of it stays.
func TestManyPiecesAreGivenBackInSteps(t *testing.T) {
	const pages = 16 << 10
	size := pages * pageSize
	path := newFile(t, size)
	mem := mapFile(t, path, size, unix.PROT_READ, unix.MAP_SHARED)
	p := newProfiler(t, WithGranule(pageSize), WithLogLimit(0))
	r, err := p.AttachFile(path)
	must(t, err)
	for i := 0; i < pages; i += 2 {
		sink = mem[i*pageSize]
	}
	before := p.eng.Stats()
	must(t, r.Close())
	after := p.eng.Stats()
	if after.Stops-before.Stops < 2 {
		t.Errorf("%d pieces went back in %d step", pages/2, after.Stops-before.Stops)
	}
	list, err := p.readMaps()
	must(t, err)
	lo, covered := addressOf(mem), uintptr(0)
	for _, m := range list {
		if from, to := max(m.lo, lo), min(m.hi, lo+uintptr(size)); from < to {
			if !r.file.is(&m) {
				t.Errorf("%#x-%#x is %+v", from, to, m)
			}
			covered += to - from
		}
	}
	if covered != uintptr(size) {
		t.Errorf("%d bytes of %d are mapped", covered, size)
	}
	if !bytes.Equal(mem, contents(len(mem))) {
		t.Error("the mapping does not hold what the file does")
	}
	if got := p.Snapshot().Regions[r.ID()]; got.Faults != uint64(pages/2) {
		t.Errorf("%d faults, of %d", got.Faults, pages/2)
	}
}
