package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/uffd"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// Known pages of a file and of an arena that comes later, touched in windows: the endpoint, the page and
// a recording say what was touched, and all say the same.
func TestWindowsOfAnAgent(t *testing.T) {
	path, file := database(t, 32)
	reader := sdkmetric.NewManualReader()
	a := start(t, WithFiles(path), WithMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))), WithWindows(time.Hour)) // ended by the test, not by the clock
	page := int64(uffd.PageSize())
	touch := func(from, to int) {
		for i := from; i < to; i++ {
			touchPage(file, i)
		}
	}
	touch(0, 10)
	a.windows.Load().next()
	touch(5, 12)
	arena, err := a.Arena("cache", int(4*page))
	if err != nil {
		t.Fatal(err)
	}
	arena.Bytes()[0] = 1
	a.windows.Load().next()
	code, body := serve(t, a, "/debug/firsttouch/windows")
	var d WindowsDocument
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); code != 200 || err != nil {
		t.Fatalf("%d %s: %v", code, body, err)
	}
	if d.Schema != WindowsSchema || d.EveryNS != int64(time.Hour) || len(d.Regions) != 2 {
		t.Fatalf("%+v", d)
	}
	first := d.Regions[0]
	if first.Region != path || len(first.Windows) != 2 || first.Phase != "warming" || first.Sample != 1 {
		t.Fatalf("%+v", first)
	}
	for i, want := range [][3]int64{{10, 10, 0}, {7, 2, 5}} {
		w := first.Windows[i]
		if got := [3]int64{int64(w.Touched) / page, int64(w.New) / page, int64(w.Reused) / page}; got != want || w.Idle30s >= 0 || w.To <= w.From || w.Observed != 1 || w.TouchedError+w.NewError+w.ReusedError+w.NeverError != 0 {
			t.Errorf("window %d: %v, want %v", i, got, want)
		}
	}
	if w := first.Windows[1]; int64(w.Never) != 20*page || int64(w.Mapped) != 32*page {
		t.Errorf("%d of %d bytes never touched", w.Never, w.Mapped)
	}
	if c := first.Curve; len(c) != 2 || c[0].Bytes != page*17/2 || c[1].Windows != 2 || c[1].Bytes != 12*page {
		t.Errorf("curve %+v", c)
	}
	// Twelve granules missed once each, of 17 touches.
	if m := first.Misses; len(m) == 0 || m[len(m)-1].Miss != 12./17 || m[len(m)-1].Error != 0 {
		t.Errorf("misses %+v", m)
	}
	second := d.Regions[1]
	if len(second.Windows) != 1 {
		t.Fatalf("%+v", second)
	}
	// Before Linux 6.8 an arena cannot be armed again, and says so.
	if w := second.Windows[0]; second.Region != "cache" || w.Error == "" && int64(w.Touched) != page {
		t.Errorf("%+v", second)
	}
	if _, body := serve(t, a, "/debug/firsttouch/"); !strings.Contains(body, "Working sets") || !strings.Contains(body, "warming") {
		t.Errorf("the page does not show the windows: %s", body)
	}
	phases, _ := metricsOf(t, reader)[exporter.MetricRegionPhase].(metricdata.Gauge[int64])
	in := make(map[string]int64)
	for _, p := range phases.DataPoints {
		in[p.Attributes.Encoded(attribute.DefaultEncoder())] = p.Value
	}
	if in["phase=warming,region="+path] != 1 || in["phase=cold,region="+path] != 0 {
		t.Errorf("phases %v", in)
	}
	var b bytes.Buffer
	if err := a.WriteRecording(&b, "test"); err != nil {
		t.Fatal(err)
	}
	r, err := recording.Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.WorkingSets) != 2 || len(r.WorkingSets[0].Windows) != 2 || r.WorkingSets[0].Windows[1].Touched != 7*page || r.WorkingSets[0].Curve[1].Bytes != 12*page {
		t.Errorf("the recording holds %+v", r.WorkingSets)
	}
}

// Of a file of which a half is observed all say so, with the standard errors of what they estimate.
func TestSampledWindowsOfAnAgent(t *testing.T) {
	const pages = 1024
	path, file := database(t, pages)
	a := start(t, WithFiles(path), WithWindows(time.Hour)) // ended by the test, not by the clock
	if err := a.Profiler().SetSampling(0.5); err != nil {
		t.Fatal(err)
	}
	a.windows.Load().next() // was begun before
	for i := 0; i < pages; i += 1 + i%3 {
		touchPage(file, i)
	}
	a.windows.Load().next()
	ws := a.WorkingSets()[0]
	want := ws.Windows[1]
	if want.Err != nil || want.Share < 0.4 || want.Share > 0.6 || want.Errors.Touched == 0 {
		t.Fatalf("the window is %+v, want one of a half", want)
	}
	_, body := serve(t, a, "/debug/firsttouch/windows")
	var d WindowsDocument
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		t.Fatal(err)
	}
	r := d.Regions[0]
	if w := r.Windows[1]; w.Observed != want.Share || int64(w.Touched) != want.Touched || w.TouchedError != want.Errors.Touched || w.NeverError != want.Errors.Never {
		t.Errorf("the document has %+v, want %+v", w, want)
	}
	if c := r.Curve[0]; c.Error == 0 || c.Error != ws.Curve[0].Error || r.Sample >= 0.6 {
		t.Errorf("the curve begins with %+v, want %+v", c, ws.Curve[0])
	}
	stderr := summary.Bytes(want.Errors.Touched)
	_, page := serve(t, a, "/debug/firsttouch/")
	for _, text := range []string{summary.Percent(want.Share) + " observed", "± " + stderr} {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not show %q: %s", text, page)
		}
	}
}

// The clock ends windows too, and a shutdown ends them.
func TestWindowsByTheClock(t *testing.T) {
	path, file := database(t, 4)
	a := start(t, WithFiles(path), WithWindows(shortestWindow))
	eventually(t, "three windows have ended", func() bool {
		touchPage(file, 1)
		s := a.WorkingSets()
		return len(s) == 1 && len(s[0].Windows) >= 3 && s[0].Windows[2].Err == nil
	})
	if w := a.latestWindows(); len(w) != 1 || w[0].End <= w[0].Start {
		t.Errorf("%+v", w)
	}
	if err := a.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	ended := len(a.WorkingSets())
	if ended != 0 {
		t.Errorf("%d regions have windows after the shutdown", ended)
	}
}

func TestWindowsAreOffByDefault(t *testing.T) {
	a := start(t)
	if _, body := serve(t, a, "/debug/firsttouch/windows"); !strings.Contains(body, "FIRSTTOUCH_WINDOWS") || !strings.Contains(body, `"every_ns":0`) {
		t.Errorf("%s", body)
	}
}

// The Go heap has windows as any other region, from its beginning.
func TestWindowsOfTheGoHeap(t *testing.T) {
	a := start(t, WithGoHeap(1.0/16), WithWindows(time.Hour))
	sets := a.WorkingSets()
	a.windows.Load().next()
	if len(sets) != 1 || len(a.WorkingSets()) != 1 {
		t.Fatalf("%d regions have windows, want the heap", len(sets))
	}
	// Of a heap this small the sample may hold nothing.
	if w := a.WorkingSets()[0].Windows; len(w) != 1 || w[0].End <= w[0].Start {
		t.Errorf("%+v", w)
	}
}
