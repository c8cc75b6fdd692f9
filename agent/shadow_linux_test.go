package agent

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/profiler"
	"github.com/firsttouch/firsttouch/uffd"
)

// In shadow the agent says what it would arm and what that would cost, wherever it says anything, arms nothing and starts
// no thread of the engine; the service notices nothing.
func TestShadow(t *testing.T) {
	if !inChild(t) {
		return
	}
	const pages, touched = 64, 8
	path, file := database(t, pages)
	other := mapFile(t, path, len(file)) // a second mapping
	for i := range touched {
		touchPage(file, i)
	}
	t.Setenv("FIRSTTOUCH_SHADOW", "true")
	before := tasks(t)
	a, err := Start(t.Context(), WithFiles(path), WithDebugAddr(":0"), WithGoHeap(0.5))
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, a)
	page := uffd.PageSize()
	arena, err := a.Arena("cache", 4*page)
	if err != nil || arena.Region() != nil {
		t.Fatalf("%v, %v", arena, err)
	}
	arena.Bytes()[0] = 1

	s := a.Shadow()
	if len(s.Regions) != 3 {
		t.Fatalf("%+v", s)
	}
	byKind := map[string]ShadowRegion{}
	for _, r := range s.Regions {
		byKind[r.Kind] = r
	}
	f, m, h := byKind["attached_file"], byKind["arena"], byKind["go_heap"]
	// The kernel may have mapped pages around those that were touched, of either mapping.
	if f.Name != path || f.Mappings != 2 || f.Bytes != int64(2*pages*page) || f.Resident < int64(touched*page) || f.Reason != "" {
		t.Errorf("%+v", f)
	}
	if f.Resided() != shadowFileTouch*(f.Resided()/shadowFileTouch) || f.Resided()+f.Rest() != 2*pages*shadowFileTouch {
		t.Errorf("%v and %v", f.Resided(), f.Rest())
	}
	if m.Name != "cache" || m.Bytes != int64(4*page) || m.Rest() != 4*shadowArenaTouch || h.Bytes <= 0 {
		t.Errorf("%+v %+v", m, h)
	}
	if s.AddressBytes != 2*f.Bytes || s.MappingsArmed != s.Mappings+2*shadowBesides || s.MapLimit == 0 || s.MappingsMost <= int64(s.MappingsArmed) || s.CostSource == "" {
		t.Errorf("%+v", s)
	}

	for where, text := range map[string]string{"Reason": a.Reason(), "Status": a.Status(), "Notes": strings.Join(a.Notes(), "\n")} {
		if !strings.Contains(text, "It would arm 1 file and 1 arena") {
			t.Errorf("%s: %q", where, text)
		}
	}
	url := "http://" + a.DebugAddr().String() + basePath
	if code, body := get(t, url); code != 200 || !strings.Contains(body, "What would be armed") || !strings.Contains(body, path) {
		t.Errorf("the page: %d %s", code, body)
	}
	code, body := get(t, url+"snapshot")
	var d Document
	if err := json.Unmarshal([]byte(body), &d); err != nil || code != 200 || d.Active || d.Shadow == nil || len(d.Shadow.Regions) != 3 {
		t.Errorf("JSON: %d %v %s", code, err, body)
	}
	if code, body := get(t, url+"recording"); code != 503 || !strings.Contains(body, "It would arm 1 file") { // what report prints
		t.Errorf("recording: %d %s", code, body)
	}
	if _, err := a.AttachFile(path); !errors.Is(err, profiler.ErrNotSupported) {
		t.Errorf("AttachFile: %v", err)
	}

	if a.Profiler() != nil {
		t.Error("there is a profiler")
	}
	for _, tid := range tasks(t) {
		if !strings.Contains(strings.Join(before, " "), tid) && blocksAll(t, tid) {
			t.Errorf("thread %s is the engine's", tid)
		}
	}
	if n := mappingsOf(t, path); n != 2 {
		t.Errorf("the file has %d mappings", n)
	}
	for i := range pages {
		if touchPage(file, i) != byte(i) || touchPage(other, i) != byte(i) {
			t.Fatalf("page %d", i)
		}
	}
	if err := arena.Close(); err != nil {
		t.Error(err)
	}
	if n := len(a.Shadow().Regions); n != 2 {
		t.Errorf("%d regions after the arena was closed", n)
	}
	t.Logf("seen: %s", a.Reason())
}

func tasks(t *testing.T) (tids []string) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		tids = append(tids, e.Name())
	}
	return tids
}

// blocksAll reports whether a thread blocks every signal, as only the engine's do while they run.
func blocksAll(t *testing.T, tid string) bool {
	t.Helper()
	status, err := os.ReadFile("/proc/self/task/" + tid + "/status")
	return err == nil && strings.Contains(string(status), "SigBlk:\tfffffff")
}
