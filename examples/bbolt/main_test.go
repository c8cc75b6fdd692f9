package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/firsttouch/firsttouch/internal/uffdtest"
	"github.com/google/pprof/profile"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// collector receives OTLP over HTTP, as a collector or Jaeger does.
type collector struct {
	mu    sync.Mutex
	spans []ptrace.Span
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	req := ptraceotlp.NewExportRequest()
	if err != nil || r.URL.Path != "/v1/traces" || req.UnmarshalProto(body) != nil {
		http.Error(w, "not a trace export request", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rs := range req.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				c.spans = append(c.spans, s)
			}
		}
	}
}

// start runs the service and returns its address and what ends it.
func start(t *testing.T) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		ended <- run(ctx, "127.0.0.1:0", filepath.Join(t.TempDir(), "example.db"), func(a net.Addr) { ready <- a })
	}()
	select {
	case a := <-ready:
		url = "http://" + a.String()
	case err := <-ended:
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return url, stop
}

func get200(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %v %v %s", url, resp.Status, err, b)
	}
	return b
}

// TestService asks for keys and sees the service's own profile and, at a collector that the OTEL_
// variables name, the faults of each request.
func TestService(t *testing.T) {
	var c collector
	srv := httptest.NewServer(&c)
	defer srv.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
	url, stop := start(t)
	for _, key := range []string{"key-000042", "key-010000", "key-019999"} {
		if got := string(get200(t, url+"/get?key="+key)); !strings.HasPrefix(got, key+" ") {
			t.Errorf("%s: %.40s", key, got)
		}
	}
	uffdtest.Need(t)
	p, err := profile.ParseData(get200(t, url+"/debug/firsttouch/profile"))
	if err != nil {
		t.Fatal(err)
	}
	var faults int64
	for _, s := range p.Sample {
		faults += s.Value[0]
	}
	stop() // exports what is left

	var onSpans int64
	requests := 0
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name() == "GET /get" {
			requests++
			if v, ok := s.Attributes().Get("firsttouch.faults"); ok {
				onSpans += v.Int()
			}
		}
	}
	// Pages of the database that the start touched itself are in the profile and on no span.
	if requests != 3 || onSpans == 0 || onSpans > faults {
		t.Errorf("%d requests with %d faults on their spans, %d in the profile; want 3, some, and no fewer", requests, onSpans, faults)
	}
}

func TestNoSuchKey(t *testing.T) {
	url, _ := start(t)
	resp, err := http.Get(url + "/get?key=none")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("%s, want 404", resp.Status)
	}
}
