package agent

import (
	"errors"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/uffd"
)

func TestArenaIsProfiled(t *testing.T) {
	a := start(t, WithArenas("index-*"))
	page := uffd.PageSize()
	arena, err := a.Arena("index-1", 8*page-1)
	if err != nil {
		t.Fatal(err)
	}
	mem := arena.Bytes()
	if len(mem) != 8*page-1 || arena.Region() == nil {
		t.Fatalf("%d bytes, region %v", len(mem), arena.Region())
	}
	mem[3*page], mem[7*page] = 1, 2
	if r := a.Profiler().Snapshot().Region("index-1"); r == nil || r.Faults != 2 || r.Touched != int64(2*page) {
		t.Errorf("region %+v, want 2 faults and 2 pages touched", r)
	}
	if err := errors.Join(arena.Close(), arena.Close()); err != nil || arena.Bytes() != nil {
		t.Errorf("close twice: %v, bytes %d", err, len(arena.Bytes()))
	}

	plain, err := a.Arena("cache", page)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if plain.Region() != nil || a.Profiler().Snapshot().Region("cache") != nil {
		t.Error("an arena that no pattern names is profiled")
	}
}

func TestSecondArenaOfANameIsPlainAndNoted(t *testing.T) {
	a := start(t)
	for i := range 2 {
		arena, err := a.Arena("twice", 1)
		if err != nil {
			t.Fatal(err)
		}
		defer arena.Close()
		if profiled := arena.Region() != nil; profiled != (i == 0) {
			t.Errorf("arena %d: profiled %v", i, profiled)
		}
	}
	if notes := ownNotes(a); len(notes) != 1 || !strings.Contains(notes[0], `arena "twice" is plain memory`) {
		t.Errorf("notes %q", notes)
	}
}
