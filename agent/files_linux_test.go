package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/firsttouch/firsttouch/uffd"
)

func TestFilesAreFoundByPattern(t *testing.T) {
	before, mem := database(t, 8)
	dir := t.TempDir()
	t.Setenv("FIRSTTOUCH_FILES", filepath.Dir(before)+"/*.db:"+dir+"/*.db:"+dir+"/none-*")
	a := start(t, WithStacks(profiler.StacksEvery()), WithRescan(5*time.Millisecond))

	// Mapped before the look that was waited for: nothing may be missed.
	for _, i := range []int{5, 2} {
		if got := touchPage(mem, i); got != byte(i) {
			t.Fatalf("page %d holds %d", i, got)
		}
	}
	r := a.Profiler().Snapshot().Region(before)
	if r == nil || r.Faults != 2 {
		t.Fatalf("region of %s: %+v, want 2 faults", before, r)
	}

	// Made and mapped later: found by looking.
	later := filepath.Join(dir, "later.db")
	if err := os.WriteFile(later, make([]byte, 4*uffd.PageSize()), 0o644); err != nil {
		t.Fatal(err)
	}
	mem = mapFile(t, later, 4*uffd.PageSize())
	eventually(t, "later.db becomes a region", func() bool {
		r := a.Profiler().Snapshot().Region(later)
		return r != nil && len(r.Mappings) == 1
	})
	touchPage(mem, 3)
	if r := a.Profiler().Snapshot().Region(later); r.Faults != 1 {
		t.Errorf("later.db: %d faults, want 1", r.Faults)
	}

	notes := ""
	eventually(t, "a note tells of the pattern without a match", func() bool {
		notes = strings.Join(ownNotes(a), "\n")
		return strings.Contains(notes, dir+"/none-*")
	})
	if strings.Count(notes, "no mapping of this process has matched") != 1 {
		t.Errorf("notes do not report exactly the pattern without a match:\n%s", notes)
	}
}

// TestFileThatTakesTheNameOfAnother: as when a database is compacted into a new file that is then
// renamed over the old one.
func TestFileThatTakesTheNameOfAnother(t *testing.T) {
	path, old := database(t, 4)
	a := start(t, WithFiles(path), WithRescan(5*time.Millisecond))
	touchPage(old, 1)
	fresh := path + ".new"
	if err := os.WriteFile(fresh, make([]byte, 8*uffd.PageSize()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, path); err != nil {
		t.Fatal(err)
	}
	mem := mapFile(t, path, 8*uffd.PageSize())
	second := path + " (file 2 of this name)"
	eventually(t, "the new file becomes a region", func() bool {
		r := a.Profiler().Snapshot().Region(second)
		return r != nil && len(r.Mappings) == 1
	})
	touchPage(mem, 5)
	touchPage(old, 2)
	s := a.Profiler().Snapshot()
	if r := s.Region(path); r.Faults != 2 {
		t.Errorf("the old file: %d faults, want 2", r.Faults)
	}
	if r := s.Region(second); r.Faults != 1 || r.Size != int64(8*uffd.PageSize()) {
		t.Errorf("the new file: %+v, want 1 fault", r)
	}
	if len(ownNotes(a)) > 0 {
		t.Errorf("notes %q", ownNotes(a))
	}
}

func TestAttachFileBeforeItIsMapped(t *testing.T) {
	a := start(t)
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, make([]byte, uffd.PageSize()), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := a.AttachFile(path); !errors.Is(err, profiler.ErrNotMapped) {
		t.Errorf("error %v, want ErrNotMapped", err)
	}
}
