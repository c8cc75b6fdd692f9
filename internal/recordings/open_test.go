package recordings

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/profiler"
)

func sample(t testing.TB) []byte {
	t.Helper()
	s := profiler.NewSnapshotBuilder()
	r := s.AddRegion(profiler.RegionStats{Name: "r", Granule: 4096, Size: 1 << 20})
	for i := range 5 {
		s.AddFault(profiler.Fault{Seq: uint64(i), Region: r, Offset: int64(i) * 4096, Messages: 1})
	}
	var b bytes.Buffer
	if err := recording.Write(&b, recording.New(s.Snapshot(), "a test")); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestOpen(t *testing.T) {
	data := sample(t)
	file := func(name string, content []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	asked := ""
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/firsttouch/recording", func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.RawQuery
		_, _ = w.Write(data)
	})
	mux.HandleFunc("/elsewhere/recording", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "not profiled: no kernel", http.StatusServiceUnavailable)
	})
	mux.HandleFunc("/page/recording", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "<html>") })
	mux.HandleFunc("/cut/recording", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(data[:len(data)-3]) })
	server := httptest.NewServer(mux)
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	newer := bytes.Clone(data)
	newer[8] = 99
	for _, tt := range []struct {
		name, source string
		seconds      int
		want         string // part of the error, or of what is cut
		is           error
		faults       int
	}{
		{"a file", file("a.ftr", data), 0, "", nil, 5},
		{"a file like an address", file("a:1", data), 0, "", nil, 5},
		{"standard input", "-", 0, "", nil, 5},
		{"an address", host, 0, "", nil, 5},
		{"a port", ":" + host[strings.LastIndexByte(host, ':')+1:], 3, "", nil, 5},
		{"a URL", server.URL, 0, "", nil, 5},
		{"a URL with a path", server.URL + "/debug/firsttouch/", 0, "", nil, 5},
		{"a cut file", file("b.ftr", data[:len(data)-1]), 0, "cut off at byte", nil, 5},
		{"a cut answer", server.URL + "/cut", 0, "cut off at byte", nil, 5},
		{"the head of a file", file("c.ftr", data[:20]), 0, "nothing of it can be used", recording.ErrTruncated, 0},
		{"a newer file", file("d.ftr", newer), 0, "update the command", recording.ErrNewer, 0},
		{"another file", file("e.txt", []byte("hello")), 0, "not a firsttouch recording", recording.ErrNotRecording, 0},
		{"an empty file", file("f.ftr", nil), 0, "not a firsttouch recording", recording.ErrNotRecording, 0},
		{"no file", "absent.ftr", 0, "name a recording", os.ErrNotExist, 0},
		{"a directory", t.TempDir(), 0, "is a directory", nil, 0},
		{"an agent that does nothing", server.URL + "/elsewhere", 0, "503 Service Unavailable: not profiled: no kernel", nil, 0},
		{"no agent", server.URL + "/nowhere", 0, "there is no agent", nil, 0},
		{"a page", server.URL + "/page", 0, "not a firsttouch recording", recording.ErrNotRecording, 0},
		{"nobody", "127.0.0.1:1", 0, "no agent answers at http://127.0.0.1:1/debug/firsttouch/recording", nil, 0},
		{"another scheme", "ftp://x", 0, "write http://host:port", ErrUsage, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			read := int64(0)
			r, err := Open(t.Context(), tt.source, Options{Stdin: bytes.NewReader(data), Seconds: tt.seconds, Progress: func(done, _ int64) { read = done }})
			if tt.faults == 0 {
				if err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("%v, want %q, %v", err, tt.want, tt.is)
				}
				return
			}
			if err != nil || len(r.Snapshot.Faults) != tt.faults || !strings.Contains(r.Cut, tt.want) || (r.Cut != "") != slices.Contains(r.Snapshot.Stats.Notes, r.Cut) || (r.Cut == "") != (tt.want == "") || read < int64(len(data)-3) {
				t.Errorf("%+v, %v after %d bytes", r, err, read)
			}
			if tt.seconds != 0 && asked != "seconds=3" {
				t.Errorf("the agent was asked for %q", asked)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, server.URL, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want Canceled", err)
	}
}
