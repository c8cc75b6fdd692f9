package agent

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/pprof/profile"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

type idleProcessor struct{ sdktrace.SpanProcessor }

func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func serve(t *testing.T, a *Agent, target string) (code int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", target, nil))
	return w.Code, w.Body.String()
}

func fetch(t *testing.T, a *Agent, target string) (*profile.Profile, http.Header) {
	t.Helper()
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", target, nil))
	if w.Code != 200 {
		t.Fatalf("%s: %d %s", target, w.Code, w.Body)
	}
	p, err := profile.Parse(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CheckValid(); err != nil {
		t.Fatal(err)
	}
	return p, w.Header()
}

// total adds up one sample type of a profile.
func total(t *testing.T, p *profile.Profile, sampleType string) (sum int64) {
	t.Helper()
	for i, st := range p.SampleType {
		if st.Type == sampleType {
			for _, s := range p.Sample {
				sum += s.Value[i]
			}
			return sum
		}
	}
	t.Fatalf("no sample type %q", sampleType)
	return 0
}
