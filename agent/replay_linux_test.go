package agent

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/google/pprof/profile"
)

// A recording is served at the paths of a live process, and says the same there as the snapshot in it.
func TestRecordingHandler(t *testing.T) {
	rec := recording.New(sample(), "a test")
	h, err := RecordingHandler(rec, "http://traces/{trace}")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(target string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", target, nil))
		return w
	}
	for target, want := range map[string]int{
		"/": 302, "/debug/firsttouch/": 200, "/debug/firsttouch/live": 200, "/debug/firsttouch/profile?seconds=1": 400,
		"/debug/firsttouch/profile?spans=maybe": 400, "/debug/firsttouch/snapshot?faults=x": 400, "/debug/firsttouch/else": 404,
	} {
		if w := ask(target); w.Code != want {
			t.Errorf("%s: %d, want %d", target, w.Code, want)
		}
	}
	for _, name := range []string{"profile?spans=true", "address"} {
		p, err := profile.Parse(ask("/debug/firsttouch/" + name).Body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := total(t, p, "faults"); got != int64(rec.Snapshot.Stats.Records) {
			t.Errorf("%s has %d faults, want %d", name, got, rec.Snapshot.Stats.Records)
		}
	}
	var d Document
	if err := json.NewDecoder(ask("/debug/firsttouch/snapshot").Body).Decode(&d); err != nil || d.Engine.Faults != rec.Snapshot.Stats.Faults {
		t.Errorf("%v, %+v", err, d.Engine)
	}
	w := ask("/debug/firsttouch/recording")
	if r, err := recording.Read(bytes.NewReader(w.Body.Bytes())); err != nil || r.Origin.Reason != "a test" {
		t.Errorf("%v, %+v", err, r)
	}
	if w.Header().Get("Firsttouch-Live") != "" || !strings.Contains(w.Header().Get("Content-Disposition"), ".ftr") {
		t.Errorf("header %v", w.Header())
	}
}
