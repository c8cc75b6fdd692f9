//go:build amd64 || arm64

package traces

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/firsttouch/firsttouch/exporter"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// A service that is instrumented with otelhttp and knows nothing of us: concurrent requests over real
// connections each have their own faults, those of the goroutines that their handlers start too.
func TestServiceWithOtelhttp(t *testing.T) {
	b := newBench(t, sdktrace.AlwaysSample())
	handler := func(w http.ResponseWriter, r *http.Request) {
		own, err1 := strconv.Atoi(r.FormValue("own"))
		started, err2 := strconv.Atoi(r.FormValue("started"))
		if err1 != nil || err2 != nil {
			http.Error(w, "bad numbers", http.StatusBadRequest)
			return
		}
		b.touch(own)
		var wg sync.WaitGroup
		for range started {
			wg.Go(func() { b.touch(2) })
		}
		wg.Wait()
	}
	name := func(_ string, r *http.Request) string { return r.URL.RequestURI() }
	server := httptest.NewServer(otelhttp.NewHandler(http.HandlerFunc(handler), "service",
		otelhttp.WithTracerProvider(b.tp), otelhttp.WithSpanNameFormatter(name)))
	defer server.Close()

	want := make(map[string]int64)
	var wg sync.WaitGroup
	for own := range 24 {
		path := fmt.Sprintf("/?own=%d&started=%d", own, own%4)
		want[path] = int64(own + own%4*2)
		wg.Go(func() {
			resp, err := http.Get(server.URL + path)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %s, %v", path, resp.Status, err)
			}
		})
	}
	wg.Wait()
	server.Close() // waits for the handlers, whose spans end after their responses
	got := b.spans()
	var sum int64
	for path, k := range want {
		if len(got[path]) != 1 {
			t.Fatalf("%d spans of %s", len(got[path]), path)
		}
		s := got[path][0]
		if n := faults(s); n != k || s.SpanKind() != trace.SpanKindServer {
			t.Errorf("%s: %d faults on a span of kind %v, want %d", path, n, s.SpanKind(), k)
		}
		if n := b.burstsOf(got[exporter.SpanBurst], s); n != k && (n != 0 || k >= burstFaults) {
			t.Errorf("%s: the bursts add up to %d, want %d", path, n, k)
		}
		sum += k
	}
	if s := b.prof.Snapshot().Stats; int64(s.Records) != sum || s.Unattributed != 0 {
		t.Errorf("%d faults, %d of them unattributed, want %d and none", s.Records, s.Unattributed, sum)
	}
}
