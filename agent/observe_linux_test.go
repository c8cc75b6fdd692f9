package agent

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/firsttouch/firsttouch/uffd"
	"github.com/google/pprof/profile"
	"golang.org/x/sys/unix"
)

// TestObserve: as an ordinary user FIRSTTOUCH_DELIVERY=observe needs no consent and no userfaultfd; the JSON snapshot, the pprof
// profile and the notes say how the faults were had; what arming would do is refused with the reason; and the service's mappings are as
// they were.
func TestObserve(t *testing.T) {
	if !asNobody(t) {
		return
	}
	const pages, touched = 64, 16
	path, mem := database(t, pages)
	other := mapFile(t, path, len(mem))
	t.Setenv("FIRSTTOUCH_DELIVERY", "observe")
	a, err := Start(t.Context(), WithFiles(path), WithDebugAddr(":0"), WithBudget("1%"), WithWindows(time.Second), Required())
	if errors.Is(err, profiler.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, a)
	look(t, a)
	// A fault for each page, also of a cached file: one page of each 16 that the kernel maps at once.
	page := uffd.PageSize()
	for i := range touched {
		if err := errors.Join(unix.Madvise(other, unix.MADV_DONTNEED), unix.Madvise(mem, unix.MADV_DONTNEED)); err != nil {
			t.Fatal(err)
		}
		touchPage(mem, i)
	}
	s := a.Profiler().Snapshot()
	dropped := uint64(0)
	if raceEnabled { // the detector's own page faults fill the buffers that an ordinary user may have
		dropped = s.Stats.Dropped
	}
	if r := s.Region(path); r == nil || r.Faults > touched || r.Faults+dropped < touched || r.Touched != int64(r.Faults)*int64(page) || len(r.Mappings) != 2 || r.Mapped != int64(2*len(mem)) {
		t.Errorf("%+v", r)
	}
	get := func(url string) []byte {
		answer, err := http.Get("http://" + a.DebugAddr().String() + basePath + url)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v %v: %s", url, answer.Status, err, body)
		}
		return body
	}
	const says = "observed by perf events, and nothing is armed"
	var doc Document
	if err := json.Unmarshal(get("snapshot"), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Engine.Delivery != "observe" || len(doc.Engine.Notes) == 0 || !slices.ContainsFunc(doc.Engine.Notes, func(n string) bool { return strings.HasPrefix(n, says) }) || doc.Engine.Elsewhere == 0 {
		t.Errorf("%+v, notes %q", doc.Engine, doc.Engine.Notes)
	}
	prof, err := profile.ParseData(get("profile"))
	if err != nil {
		t.Fatal(err)
	}
	if c := strings.Join(prof.Comments, "\n"); !strings.Contains(c, "page faults observed by perf events") || !strings.Contains(c, says) || strings.Contains(c, "since the memory was armed") {
		t.Errorf("comments %s", c)
	}
	notes := strings.Join(a.Notes(), "\n")
	if n := strings.Join(doc.Engine.Notes, "\n"); !strings.Contains(n, "the budget of 1% of a processor is not kept") {
		t.Errorf("the engine's notes %s", n)
	}
	if strings.Contains(notes, "system calls of this service can fail") {
		t.Errorf("notes %s", notes)
	}
	if _, err := a.AttachGoHeap(); !errors.Is(err, profiler.ErrNotSupported) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	w, err := a.record(ctx, 10*time.Millisecond)
	if err != nil || len(w.limits) == 0 || !strings.Contains(w.limits[0], "nothing is armed") {
		t.Errorf("%v, %+v", err, w)
	}
}

// TestShadowObserves: in shadow and with delivery observe nothing is armed, and the shadow says what it has seen of what it would arm.
func TestShadowObserves(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's own page faults fill the buffers that an ordinary user may have")
	}
	if !asNobody(t) {
		return
	}
	const pages, touched = 64, 8
	path, mem := database(t, pages)
	t.Setenv("FIRSTTOUCH_DELIVERY", "observe")
	a, err := Start(t.Context(), WithFiles(path), WithDebugAddr(":0"), WithShadow(), Required())
	if errors.Is(err, profiler.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, a)
	look(t, a)
	for i := range touched {
		if err := unix.Madvise(mem, unix.MADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
		touchPage(mem, i)
	}
	page := uffd.PageSize()
	arena, err := a.Arena("cache", 4*page)
	if err != nil || arena.Region() == nil {
		t.Fatalf("%v, %v", arena, err)
	}
	arena.Bytes()[0] = 1
	s := a.Shadow()
	if len(s.Regions) != 2 {
		t.Fatalf("%+v", s)
	}
	file, cache := s.Regions[0], s.Regions[1]
	if file.Seen == nil || cache.Seen == nil {
		t.Fatalf("%+v", s)
	}
	if f := file.Seen; f.Faults != touched || f.Touched != int64(touched*page) || f.Waited() != touched*shadowFileTouch || f.For <= 0 {
		t.Errorf("%+v", f)
	}
	if c := cache.Seen; c.Faults != 1 || c.Waited() != shadowArenaTouch || cache.Kind != "arena" || cache.Resident != int64(page) {
		t.Errorf("%+v of %+v", c, cache)
	}
	if text := s.String(); !strings.Contains(text, "by page faults: at least 9 first touches") || !strings.HasPrefix(text, "in shadow, nothing is armed") || !slices.Contains(a.Notes(), shadowSees) || a.Reason() != "" {
		t.Errorf("%s; notes %q, reason %q", text, a.Notes(), a.Reason())
	}
	answer, err := http.Get("http://" + a.DebugAddr().String() + basePath)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || !strings.Contains(string(body), "What would be armed") || !strings.Contains(string(body), "page faults seen") {
		t.Errorf("%v: %s", err, body)
	}
}
