package agent

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/firsttouch/firsttouch/uffd"
)

func TestProfilesOfAFileAndAnArena(t *testing.T) {
	path, file := database(t, 32)
	a := start(t, WithFiles(path), WithStacks(profiler.StacksEvery()))
	page := uffd.PageSize()
	arena, err := a.Arena("cache", 4*page)
	if err != nil {
		t.Fatal(err)
	}
	defer arena.Close()
	for i := range 10 {
		touchPage(file, i)
	}
	arena.Bytes()[page] = 1

	p, h := fetch(t, a, "/debug/firsttouch/profile")
	if got := total(t, p, "faults"); got != 11 {
		t.Errorf("profile: %d faults, want 11", got)
	}
	if got := total(t, p, "touched"); got != int64(11*page) {
		t.Errorf("profile: %d bytes touched, want %d", got, 11*page)
	}
	if !strings.Contains(p.String(), "touchPage") {
		t.Errorf("profile has no touchPage:\n%s", p)
	}
	if len(h.Values("Firsttouch-Limit")) > 0 {
		t.Errorf("limits without a window: %q", h.Values("Firsttouch-Limit"))
	}
	p, _ = fetch(t, a, "/debug/firsttouch/address")
	if got := total(t, p, "touched"); got != int64(11*page) {
		t.Errorf("address: %d bytes touched, want %d", got, 11*page)
	}
	if !strings.Contains(p.String(), "data.db") {
		t.Errorf("address profile does not name the file:\n%s", p)
	}
}

func TestBadRequests(t *testing.T) {
	a := start(t)
	for target, want := range map[string]int{
		"profile?seconds=0":      400,
		"profile?seconds=-1":     400,
		"profile?seconds=301":    400,
		"profile?seconds=1e2":    400,
		"address?seconds=x":      400,
		"profile?spans=some":     400,
		"snapshot?faults=-1":     400,
		"snapshot?faults=100001": 400,
		"snapshot?after=x":       400,
		"snapshot?addresses=2":   400,
		"elsewhere":              404,
	} {
		if code, body := serve(t, a, "/debug/firsttouch/"+target); code != want || body == "" {
			t.Errorf("%s: %d %q, want %d and a reason", target, code, body, want)
		}
	}
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/debug/firsttouch/profile", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d, want 405", w.Code)
	}
}
