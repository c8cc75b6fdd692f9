package demo

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/internal/uffdtest"
	"github.com/google/pprof/profile"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

func TestDemo(t *testing.T) {
	uffdtest.Need(t)
	checkDemo(t, small(t))
}

// checkDemo runs a demo and holds its results against each other.
func checkDemo(t *testing.T, o Options) (sum Summary) {
	t.Helper()
	sum = run(t, o)
	if !sum.SameAnswers || !sum.Index.Built || sum.Index.Meta.Files != 40 {
		t.Errorf("same answers %v, index %+v, notes %q", sum.SameAnswers, sum.Index, sum.Notes)
	}
	for _, r := range []Run{sum.Without, sum.With} {
		for i, name := range []string{"cold", "warm"} {
			p := r.Phases[i]
			if p.Name != name || p.Load.Failures != 0 || p.Load.Requests != 60 || p.Service.Latency.Requests != 60 || p.Service.Memory.Resident == 0 {
				t.Errorf("phase %+v", p)
			}
		}
	}
	cold, warm := sum.With.Phases[0].Service, sum.With.Phases[1].Service
	if cold.Faults == 0 || warm.Faults != 0 {
		t.Errorf("%d first touches cold and %d warm; the second pass touches what the first did", cold.Faults, warm.Faults)
	}
	e, r := sum.Profile.Engine, sum.Profile.Regions[0]
	if len(sum.Profile.Regions) != 1 || r.Name != sum.Index.Path || r.Faults != e.Faults || e.Records != e.Faults || e.Dropped != 0 {
		t.Errorf("region %+v, engine %+v", r, e)
	}
	if r.Touched != int64(r.Faults)*int64(r.Granule) || r.Touched > r.Mapped {
		t.Errorf("%d bytes touched by %d faults of %d mapped", r.Touched, r.Faults, r.Mapped)
	}
	q := sum.Profile.Requests
	if q.Count != 120 || q.Attributed+q.Unattributed != e.Records {
		t.Errorf("requests %+v, and %d records", q, e.Records)
	}
	checkProfile(t, filepath.Join(o.Out, fileProfile), e.Faults, "go.etcd.io/bbolt.", "index.(*Index).Lookup")
	checkProfile(t, filepath.Join(o.Out, fileAddress), e.Faults, filepath.Base(sum.Index.Path))
	checkTraces(t, filepath.Join(o.Out, fileTraces), sum)
	return sum
}

// checkProfile reads a profile as go tool pprof does.
func checkProfile(t *testing.T, path string, faults uint64, names ...string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.ParseData(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CheckValid(); err != nil {
		t.Error(err)
	}
	var sum int64
	for _, s := range p.Sample {
		sum += s.Value[0]
	}
	if p.SampleType[0].Type != exporter.SampleFaults || uint64(sum) != faults {
		t.Errorf("%s: %d %s, want %d", path, sum, p.SampleType[0].Type, faults)
	}
	for _, name := range names {
		found := false
		for _, f := range p.Function {
			found = found || strings.Contains(f.Name, name)
		}
		if !found {
			t.Errorf("%s: no function like %q", path, name)
		}
	}
}

// checkTraces adds up what the spans of the file say.
func checkTraces(t *testing.T, path string, sum Summary) {
	t.Helper()
	var servers, all int
	var faults, burst int64
	for _, span := range readTraces(t, path) {
		all++
		v, ok := span.Attributes().Get(exporter.AttrFaults)
		switch {
		case span.Kind() == ptrace.SpanKindServer:
			servers++
			if ok {
				faults += v.Int()
			}
			route, _ := span.Attributes().Get("http.route")
			if !strings.Contains(route.Str(), "{") {
				t.Errorf("span %s has the route %q", span.Name(), route.Str())
			}
		case span.Name() == exporter.SpanBurst && ok:
			burst += v.Int()
		default:
			t.Errorf("unexpected span %q", span.Name())
		}
	}
	if servers != 120 || all != sum.Spans.Ended || all != sum.Spans.Written {
		t.Errorf("%d spans, %d of them requests; want %+v and 120", all, servers, sum.Spans)
	}
	if uint64(faults) != sum.Profile.Requests.Attributed || burst > faults {
		t.Errorf("requests have %d faults, bursts %d; want %d and no more", faults, burst, sum.Profile.Requests.Attributed)
	}
}

func readTraces(t *testing.T, path string) (spans []ptrace.Span) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		request := ptraceotlp.NewExportRequest()
		if err := request.UnmarshalJSON(line); err != nil {
			t.Fatal(err)
		}
		for _, rs := range request.Traces().ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					spans = append(spans, s)
				}
			}
		}
	}
	return spans
}
