package search_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/internal/demo/index"
	"github.com/firsttouch/firsttouch/internal/demo/search"
)

func newServer(t *testing.T) *httptest.Server {
	t.Helper()
	dir := t.TempDir()
	text := "package p\n\nvar größe, größer int\n"
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	tree, err := index.ListTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "index.db")
	if err := index.Build(context.Background(), tree, path, nil); err != nil {
		t.Fatal(err)
	}
	ix, err := index.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	search.Register(mux, ix, nil, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Route", r.Pattern)
			h.ServeHTTP(w, r)
		})
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(func() {
		srv.Close()
		ix.Close()
	})
	return srv
}

func TestHandler(t *testing.T) {
	srv := newServer(t)
	tests := []struct {
		name, path string
		status     int
		want       string // JSON
	}{
		{"lookup", search.LookupPath("größe"), 200,
			`{"name":"größe","count":1,"files":1,"directories":[{"directory":".","count":1}],"hits":[{"file":"p.go","line":3,"text":"var größe, größer int"}]}`},
		{"prefix", search.PrefixPath("größ"), 200,
			`[{"name":"größe","count":1,"files":1},{"name":"größer","count":1,"files":1}]`},
		{"together", search.TogetherPath("größe", "p"), 200, `{"a":"größe","b":"p","count":1,"files":["p.go"]}`},
		{"no prefix", search.PrefixPath("%/?"), 200, `[]`},
		{"no name", search.LookupPath("absent"), 404, ""},
		{"one name only", search.TogetherPath("p", "absent"), 404, ""},
		{"no route", "/", 404, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, err := http.Get(srv.URL + tt.path)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if tt.want == "" {
				return
			}
			if route := resp.Header.Get("Route"); !strings.Contains(route, "{") {
				t.Errorf("the wrapper saw the route %q", route)
			}
			var raw json.RawMessage
			if err := json.NewDecoder(resp.Body).Decode(&raw); err != nil {
				t.Fatal(err)
			}
			if string(raw) != tt.want {
				t.Errorf("got  %s\nwant %s", raw, tt.want)
			}
		})
	}
}

func TestLatency(t *testing.T) {
	var l search.Latency
	if got := l.Take(); got != (search.Percentiles{}) {
		t.Errorf("without requests: %+v", got)
	}
	h := l.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(30 * time.Millisecond)
		}
	}))
	for range 98 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/fast", nil))
	}
	for range 2 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/slow", nil))
	}
	got := l.Take()
	if got.Requests != 100 || got.P99 < 30*time.Millisecond || got.Max < got.P99 || got.P50 > got.P99 {
		t.Errorf("got %+v, want the two slow requests from p99 on", got)
	}
	if got := l.Take(); got.Requests != 0 {
		t.Errorf("taken twice: %+v", got)
	}
}
