package profiler

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"
)

// A profiler remembers its regions, and so takes no more of them than it has room for: the first ones go on.
func TestRegionsAreBounded(t *testing.T) {
	p := newProfiler(t)
	first, err := p.NewArena("first", os.Getpagesize())
	if err != nil {
		t.Fatal(err)
	}
	for i := range regionsMost - 1 {
		r, err := p.NewArena(fmt.Sprint("another ", i), os.Getpagesize())
		if err == nil {
			err = r.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.NewArena("one too many", os.Getpagesize()); !errors.Is(err, ErrTooMany) {
		t.Errorf("%v, want ErrTooMany", err)
	}
	first.Bytes()[0] = 1
	if s := p.Snapshot(); s.Region("first").Faults != 1 || len(s.Regions) != regionsMost || len(s.Stats.Notes) == 0 {
		t.Errorf("%d regions, %+v", len(s.Regions), s.Region("first"))
	}
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
