package demo

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/internal/demo/index"
	"github.com/firsttouch/firsttouch/internal/demo/load"
	"github.com/firsttouch/firsttouch/internal/demo/search"
)

var update = flag.Bool("update", false, "write the golden files anew")

// twoRuns is a summary before it is completed.
func twoRuns() Summary {
	phase := func(name string, slower time.Duration, faults uint64) Phase {
		return Phase{
			Name: name,
			Load: load.Result{Requests: 2000, Elapsed: 2 * time.Second, Digest: 42},
			Service: PhaseReply{
				Latency: search.Percentiles{Requests: 2000, P50: slower * 100, P99: slower * 2000, Max: slower * 9000},
				Memory:  Memory{Resident: 80 << 20, Anonymous: 10 << 20, File: 70 << 20},
				Faults:  faults, Stall: time.Duration(faults) * 100 * time.Microsecond,
			},
		}
	}
	drop := PageCache{Bytes: 173363200, Before: 173363200}
	return Summary{
		Schema: Schema,
		Index: Index{
			Path: "/home/user/.cache/firsttouch/demo/identifiers.db", Bytes: 173363200, Built: true, Took: 3400 * time.Millisecond,
			Meta: index.Meta{Version: 1, Source: "/usr/local/go/src", Files: 7711, Names: 171955, Occurrences: 4775875},
		},
		Load:    Load{Requests: 2000, Concurrency: 4, Seed: 1},
		Without: Run{PageCache: drop, Phases: []Phase{phase("cold", 6*time.Microsecond, 0), phase("warm", time.Microsecond, 0)}},
		With:    Run{PageCache: drop, Phases: []Phase{phase("cold", 9*time.Microsecond, 13384), phase("warm", time.Microsecond, 0)}},
	}
}

func finished() FinishReply {
	return FinishReply{
		Profile: summary.Summary{Regions: []summary.Region{{Name: "identifiers.db", Mapped: 173363200, Touched: 54 << 20}}},
		Spans:   Spans{Ended: 5000, Written: 5000},
	}
}

func TestComplete(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Summary, *FinishReply)
		same   bool
		note   string
	}{
		{"all is well", func(*Summary, *FinishReply) {}, true, ""},
		{"other answers", func(s *Summary, _ *FinishReply) { s.With.Phases[1].Load.Digest = 7 }, false, "not the same"},
		{"failures", func(s *Summary, _ *FinishReply) {
			s.With.Phases[0].Load.Failures, s.With.Phases[0].Load.First = 3, "/x: 500"
		}, false, "3 of 2000 cold requests with the profiler failed, the first one: /x: 500"},
		{"not cold", func(s *Summary, _ *FinishReply) { s.Without.PageCache.Refusal = "tmpfs" }, true, "the cold phase without the profiler was not cold: tmpfs"},
		{"spans missing", func(_ *Summary, f *FinishReply) { f.Spans.Written = 4990 }, true, "10 of 5000 spans are missing"},
		{"no collector", func(_ *Summary, f *FinishReply) {
			f.Export = Export{Endpoint: "http://c:4317", Failures: 2, First: "refused"}
		}, true, "http://c:4317 failed 2 times, the first time: refused"},
		{"the agent's note", func(_ *Summary, f *FinishReply) { f.Notes = []string{"hello"} }, true, "hello"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, f := twoRuns(), finished()
			tt.change(&s, &f)
			s.complete(f)
			if s.SameAnswers != tt.same || !strings.Contains(strings.Join(s.Notes, "\n"), tt.note) {
				t.Errorf("same answers %v, notes %q; want %v, %q", s.SameAnswers, s.Notes, tt.same, tt.note)
			}
			if tt.note == "" && len(s.Notes) != 0 {
				t.Errorf("notes %q, want none", s.Notes)
			}
		})
	}
}

func TestRender(t *testing.T) {
	troubled := func(s *Summary, f *FinishReply) {
		s.With.PageCache.Refusal = "it may be on tmpfs"
		s.With.Phases[1].Load.Digest = 7
		f.Export.Endpoint = "http://127.0.0.1:4318"
	}
	for name, change := range map[string]func(*Summary, *FinishReply){"demo": func(*Summary, *FinishReply) {}, "troubled": troubled} {
		t.Run(name, func(t *testing.T) {
			s, f := twoRuns(), finished()
			change(&s, &f)
			s.complete(f)
			var out bytes.Buffer
			if err := Render(&out, s, "firsttouch-demo", "firsttouch"); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out.Bytes(), want) {
				t.Errorf("%s differs (go test -update writes it anew)\n--- got\n%s\n--- want\n%s", path, out.Bytes(), want)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	good := Options{Out: "out", Requests: 1, Concurrency: 1}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"-out":         func(o *Options) { o.Out = "" },
		"-requests":    func(o *Options) { o.Requests = 0 },
		"-concurrency": func(o *Options) { o.Concurrency = maxConcurrency + 1 },
		"-granule":     func(o *Options) { o.Granule = os.Getpagesize() + 1 },
	} {
		o := good
		change(&o)
		if err := o.check(); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestSourceDir(t *testing.T) {
	o := Options{Source: "given"}
	if got, err := o.sourceDir(); err != nil || got != "given" {
		t.Errorf("given: %q, %v", got, err)
	}
	o.Source = ""
	root := t.TempDir()
	t.Setenv("GOROOT", root)
	if _, err := o.sourceDir(); err == nil || !strings.Contains(err.Error(), "-source") {
		t.Errorf("a distribution without source: %v, want advice to use -source", err)
	}
	if err := os.Mkdir(filepath.Join(root, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := o.sourceDir(); err != nil || got != filepath.Join(root, "src") {
		t.Errorf("GOROOT: %q, %v", got, err)
	}
	t.Setenv("GOROOT", "")
	t.Setenv("PATH", root)
	if _, err := o.sourceDir(); err == nil || !strings.Contains(err.Error(), "install Go") {
		t.Errorf("no Go: %v", err)
	}
}

func TestCacheDir(t *testing.T) {
	o := Options{Cache: "given"}
	if got, err := o.cacheDir(); err != nil || got != "given" {
		t.Errorf("given: %q, %v", got, err)
	}
	o.Cache = ""
	for _, v := range []string{"HOME", "XDG_CACHE_HOME", "LocalAppData", "home"} {
		t.Setenv(v, "")
	}
	if _, err := o.cacheDir(); err == nil || !strings.Contains(err.Error(), "-cache") {
		t.Errorf("no home: %v, want advice to use -cache", err)
	}
}
