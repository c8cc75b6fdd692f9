package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/profiler"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

func read(t *testing.T, b []byte) *recording.Recording {
	t.Helper()
	r, err := recording.Read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// service is a tracer whose spans pass the agent's processor.
func service(t *testing.T, a *Agent) trace.Tracer {
	t.Helper()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.SpanProcessor(sdktrace.NewSimpleSpanProcessor(tracetest.NewNoopExporter()))))
	t.Cleanup(func() {
		if err := tp.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return tp.Tracer("service")
}

// What the endpoint gives is what the profiler has seen, with the names of this process.
func TestRecordingOverHTTP(t *testing.T) {
	path, file := database(t, 64)
	a := start(t, WithFiles(path), WithStacks(profiler.StacksEvery()), WithLogLimit(2))
	tracer := service(t, a)
	_, span := tracer.Start(context.Background(), "request", trace.WithSpanKind(trace.SpanKindServer))
	for _, page := range []int{3, 1, 60} {
		touchPage(file, page)
	}
	span.End()
	touchPage(file, 9)
	for query, want := range map[string]int{"": 4, "?scope=all": 4, "?scope=window": 4} {
		code, body := serve(t, a, "/debug/firsttouch/recording"+query)
		if code != 200 {
			t.Fatalf("%d %s", code, body)
		}
		r := read(t, []byte(body))
		// The log holds two, and the flight recorder all of them.
		if got := r.Snapshot; len(got.Faults) != want || got.Stats.LogCut != 0 || got.Region(path).Touched != int64(4*os.Getpagesize()) {
			t.Errorf("%q: %d faults, %+v", query, len(got.Faults), got.Stats)
		}
		if len(r.Requests) != 1 || r.Requests[0].Tree.Faults != 3 || r.Requests[0].Name != "request" {
			t.Errorf("%q: requests %+v", query, r.Requests)
		}
		f := r.Snapshot.Faults[0]
		if owner, ok := r.Snapshot.Span(f.Span); !ok || owner.SpanID != span.SpanContext().SpanID() {
			t.Errorf("%q: the first fault is of span %x", query, owner.SpanID)
		}
		frames := ""
		for _, fr := range r.Snapshot.Frames(f.Stack) {
			frames += fr.Function + " "
		}
		if !strings.Contains(frames, ".touchPage ") || r.Origin.Process != os.Getpid() {
			t.Errorf("%q: stack %s of process %d", query, frames, r.Origin.Process)
		}
	}
	if code, body := serve(t, a, "/debug/firsttouch/recording?scope=some"); code != 400 || !strings.Contains(body, "choose all or window") {
		t.Errorf("%d %s", code, body)
	}
	var b bytes.Buffer
	if err := a.WriteRecording(&b, "by hand"); err != nil || read(t, b.Bytes()).Origin.Reason != "by hand" {
		t.Error(err)
	}
}

func TestRecordingOfAWindow(t *testing.T) {
	path, file := database(t, 64)
	a := start(t, WithFiles(path))
	touchPage(file, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Until it is armed again this touches nothing for the first time.
		for a.Profiler().Snapshot().Region(path).Faults < 2 {
			touchPage(file, 1)
			time.Sleep(time.Millisecond)
		}
	}()
	code, body := serve(t, a, "/debug/firsttouch/recording?seconds=1")
	<-done
	if r := read(t, []byte(body)); code != 200 || r.Snapshot.Stats.Records != 1 || len(r.Snapshot.Faults) != 1 || !strings.Contains(r.Origin.Reason, "1s") {
		t.Errorf("%d %+v, %d faults, %q", code, r.Snapshot.Stats, len(r.Snapshot.Faults), r.Origin.Reason)
	}
}

// A slow request with first touches leaves a recording with its faults; others do not.
func TestSlowRequestIsRecorded(t *testing.T) {
	path, file := database(t, 64)
	dir := filepath.Join(t.TempDir(), "new", "recordings")
	a := start(t, WithFiles(path), WithRecordings(dir), WithRecordSlow(time.Hour))
	tracer := service(t, a)
	request := func(name string, took time.Duration, pages ...int) {
		begun := time.Now()
		_, s := tracer.Start(context.Background(), name, trace.WithTimestamp(begun))
		for _, p := range pages {
			touchPage(file, p)
		}
		s.End(trace.WithTimestamp(begun.Add(took)))
	}
	request("fast", time.Second, 1)
	request("slow without touches", 2*time.Hour)
	request("slow", 2*time.Hour, 2, 3)
	var files []string
	eventually(t, "a recording", func() bool {
		var err error
		if files, err = filepath.Glob(filepath.Join(dir, "*-slow.ftr")); err != nil {
			t.Fatal(err)
		}
		return len(files) > 0
	})
	request("slow again", 2*time.Hour, 4)
	request("and again", 2*time.Hour, 5)
	stop(t, a)
	if notes := strings.Join(a.Notes(), "\n"); !strings.Contains(notes, "1 slow requests have no recording") {
		t.Errorf("notes %q", notes)
	}
	all, err := os.ReadDir(dir)
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v: want one recording", all, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	r := read(t, b)
	if !strings.Contains(r.Origin.Reason, "the request slow took 2h0m0s") || r.Origin.Scope != recording.ScopeWindow || len(r.Snapshot.Faults) < 3 {
		t.Errorf("%+v, %d faults", r.Origin, len(r.Snapshot.Faults))
	}
}

func TestOldRecordingsOfSlowRequestsGo(t *testing.T) {
	r, err := newRecorder(t.TempDir(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	r.make = func(scope recording.Scope, reason string) *recording.Recording {
		rec := recording.New(profiler.NewSnapshotBuilder().Snapshot(), reason)
		at = at.Add(time.Second)
		rec.Origin.Written = at
		return rec
	}
	for range slowFiles + 3 {
		r.record("x")
	}
	if files, err := os.ReadDir(r.dir); err != nil || len(files) != slowFiles || r.failed != nil {
		t.Errorf("%d files, %v, %v; want %d", len(files), err, r.failed, slowFiles)
	}
	r.dir = filepath.Join(r.dir, "gone")
	r.record("x")
	if notes := strings.Join(r.notes(), "\n"); !strings.Contains(notes, "recording of a slow request failed") {
		t.Errorf("notes %q", notes)
	}
}

func TestRecordingAtShutdown(t *testing.T) {
	path, file := database(t, 8)
	dir := t.TempDir()
	a := start(t, WithFiles(path), WithRecordings(dir), WithRecordAtShutdown())
	touchPage(file, 5)
	stop(t, a)
	stop(t, a)
	files, err := filepath.Glob(filepath.Join(dir, "firsttouch-*-exit.ftr"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v: want one recording", files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if r := read(t, b); r.Snapshot.Region(path).Faults != 1 || len(r.Snapshot.Region(path).Mappings) != 1 {
		t.Errorf("%+v", r.Snapshot.Regions)
	}
}

func TestRecordingsNeedAPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for want, opts := range map[string][]Option{
		"FIRSTTOUCH_RECORD_DIR":            {WithRecordAtShutdown()},
		"have no place":                    {WithRecordSlow(time.Second)},
		"choose one that this process can": {WithRecordings(file)},
	} {
		if _, err := Start(t.Context(), opts...); !errors.Is(err, profiler.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestRecordingOfNothing(t *testing.T) {
	a, err := Start(t.Context(), Disabled())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.WriteRecording(&bytes.Buffer{}, ""); !errors.Is(err, profiler.ErrNotSupported) {
		t.Errorf("%v, want ErrNotSupported", err)
	}
	if code, body := serve(t, a, "/debug/firsttouch/recording"); code != 503 || !strings.Contains(body, "switched off") {
		t.Errorf("%d %s", code, body)
	}
}

// Who has a recording gets what is new, in either form, and the totals of all.
func TestRecordingFromWhereOneIs(t *testing.T) {
	path, file := database(t, 64)
	a := start(t, WithFiles(path), WithTraceURL("http://traces.example/{trace}"))
	tracer := service(t, a)
	request := func(name string, pages ...int) {
		_, span := tracer.Start(context.Background(), name, trace.WithSpanKind(trace.SpanKindServer))
		for _, page := range pages {
			touchPage(file, page)
		}
		span.End()
	}
	get := func(query string) *recording.Recording {
		t.Helper()
		code, body := serve(t, a, "/debug/firsttouch/recording"+query)
		if code != 200 {
			t.Fatalf("%d %s", code, body)
		}
		return read(t, []byte(body))
	}
	request("first", 1, 2, 3)
	first := get("?stored=true").Snapshot
	request("second", 40, 50)
	for _, form := range []string{"", "&stored=true"} {
		r := get(fmt.Sprintf("?after=%d&ended=%d%s", first.Faults[2].Seq, first.EndMono, form))
		s := r.Snapshot
		if len(s.Faults) != 2 || s.Faults[0].Offset != int64(40*os.Getpagesize()) || s.Stats.LogCut != 0 || s.Stats.Faults != 5 || s.Regions[0].Faults != 5 {
			t.Errorf("%q: %d faults: %+v", form, len(s.Faults), s.Stats)
		}
		if len(r.Requests) != 1 || r.Requests[0].Name != "second" {
			t.Errorf("%q: requests %+v", form, r.Requests)
		}
	}
	last := get("").Snapshot
	if r := get(fmt.Sprintf("?after=%d&ended=%d", last.Faults[4].Seq, last.EndMono)); len(r.Snapshot.Faults) != 0 || len(r.Requests) != 0 {
		t.Errorf("nothing is new, and there are %d faults and %d requests", len(r.Snapshot.Faults), len(r.Requests))
	}
	for _, query := range []string{"?after=1", "?after=x&ended=0", "?ended=1", "?after=1&ended=x", "?stored=maybe", "?seconds=1&after=1&ended=1"} {
		if code, body := serve(t, a, "/debug/firsttouch/recording"+query); code != 400 {
			t.Errorf("%s: %d %.80s", query, code, body)
		}
	}
}
