//go:build linux && (amd64 || arm64)

package profiler

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/firsttouch/firsttouch/internal/engine"
	"github.com/firsttouch/firsttouch/internal/testproc"
)

// Regions that are open are bounded, and the first ones go on.
func TestOpenRegionsAreBounded(t *testing.T) {
	p := newProfiler(t)
	first := newArena(t, p, "first", pageSize)
	var last *Region
	for i := range regionsMost - 1 {
		last = newArena(t, p, fmt.Sprint("another ", i), pageSize)
	}
	if _, err := p.NewArena("one too many", pageSize); !errors.Is(err, ErrTooMany) {
		t.Errorf("%v, want ErrTooMany", err)
	}
	first.Bytes()[0] = 1
	if s := p.Snapshot(); s.Region("first").Faults != 1 || len(s.Regions) != regionsMost || len(s.Stats.Notes) == 0 {
		t.Errorf("%d regions, %+v", len(s.Regions), s.Region("first"))
	}
	if err := last.Close(); err != nil {
		t.Fatal(err)
	}
	newArena(t, p, "instead of the last", pageSize)
}

// However many arenas come and go, their first touches count, and nothing is left of them but their totals.
func TestArenasComeAndGo(t *testing.T) {
	p := newProfiler(t)
	arenas := testproc.Times(1500, 1<<17)
	keep := newArena(t, p, "stays", 4*pageSize)
	for i := range arenas {
		r := newArena(t, p, fmt.Sprint("request ", i), 2*pageSize, WithGroup("requests"))
		r.Bytes()[0], r.Bytes()[pageSize] = 1, 1
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			p.ageNow()
		}
	}
	keep.Bytes()[0] = 1
	p.ageNow()
	s := p.Snapshot()
	faults, listed := uint64(0), 0
	for i := range s.Regions {
		if r := &s.Regions[i]; r.Group == "requests" {
			faults += r.Faults
			listed++
			if r.Messages < r.Faults {
				t.Errorf("%d messages of %d faults", r.Messages, r.Faults)
			}
		}
	}
	if want := uint64(2 * arenas); faults != want || listed > 2*closedMost+1 || s.Region("stays").Faults != 1 || s.Stats.Records != want+1 {
		t.Errorf("%d faults in %d regions, %d in the one that stays, %d records; want %d and 1", faults, listed, s.Region("stays").Faults, s.Stats.Records, want)
	}
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	if len(p.targets) > 2 || len(p.counted) != 1 {
		t.Errorf("%d ranges and %d regions are served, want 1", len(p.targets), len(p.counted))
	}
}

// ageNow does what the profiler does once a second.
func (p *Profiler) ageNow() {
	p.Flush()
	p.foldMu.Lock()
	defer p.foldMu.Unlock()
	p.fold()
	p.agg.age(p.eng.Folded(), func(RegionID) bool { return false }, engine.Now())
}

// The path of a file may be no UTF-8; what its region is called is.
func TestNamesAreUTF8(t *testing.T) {
	p := newProfiler(t)
	path := filepath.Join(t.TempDir(), "a\xff\xe4.db")
	if err := os.WriteFile(path, make([]byte, 4*os.Getpagesize()), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := p.MapFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b := r.Bytes()[0]; b != 0 {
		t.Fatal(b)
	}
	p.note("a note on %s", path)
	s := p.Snapshot()
	if name := s.Regions[0].Name; !utf8.ValidString(name) || filepath.Base(name) != `a\xff\xe4.db` || s.Regions[0].Faults != 1 {
		t.Errorf("%q, %d faults", name, s.Regions[0].Faults)
	}
	for _, n := range s.Stats.Notes {
		if !utf8.ValidString(n) {
			t.Errorf("note %q", n)
		}
	}
}
