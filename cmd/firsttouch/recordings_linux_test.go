package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/agent"
	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/internal/report"
	"github.com/firsttouch/firsttouch/internal/testproc"
	"github.com/firsttouch/firsttouch/internal/uffdtest"
	"github.com/firsttouch/firsttouch/profiler"
)

// profiled is a recording of a real arena in this process, of which n pages were touched, and its agent.
func profiled(t *testing.T, n int, opts ...agent.Option) (*agent.Agent, string) {
	t.Helper()
	uffdtest.Need(t)
	a, err := agent.Start(t.Context(), append(opts, agent.Required(), agent.WithFailingSystemCalls(), agent.WithStacks(profiler.StacksEvery()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testproc.Budget(time.Minute))
		defer cancel()
		if err := a.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	cache, err := a.Profiler().NewArena("cache", 64*os.Getpagesize())
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		cache.Bytes()[i*os.Getpagesize()] = 1
	}
	path := filepath.Join(t.TempDir(), "a.ftr")
	var b bytes.Buffer
	if err := a.WriteRecording(&b, "a test"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return a, path
}

func TestCommandsOnARecording(t *testing.T) {
	a, path := profiled(t, 10)
	server := httptest.NewServer(a.Handler())
	defer server.Close()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	cut, other := write("cut.ftr", data[:len(data)-5]), write("other.txt", []byte("text"))
	for _, tt := range []struct {
		args   string
		status int
		out    string // parts of standard output, separated by ;
		diag   string
	}{
		{"report " + path, 0, "Memory: how much was needed;cache;firsttouch.profiled;When (", ""},
		{"report " + server.URL, 0, "asked for over HTTP;cache", ""},
		{"report " + cut, exitPartial, "Memory: how much was needed", "cut off at byte"},
		{"report " + other, exitFailed, "", "not a firsttouch recording"},
		{"report absent", exitFailed, "", "no such file"},
		{"report 127.0.0.1:1", exitFailed, "", "no agent answers"},
		{"report ftp://x", exitUsage, "", "write http://host:port"},
		{"report", exitUsage, "", "report wants a recording (a file), or the address of a live agent such as :6060, for example: firsttouch report firsttouch-demo/recording.ftr"},
		{"report a b", exitUsage, "", `"b" is one more`},
		{"diff " + path, exitUsage, "", "diff wants a second recording"},
		{"prefetch", exitUsage, "", "prefetch wants an order file"},
		{"prefetch absent", exitFailed, "", "no such file"},
		{"prefetch " + path, exitFailed, "", "this is no order of touches"},
		{"prefetch " + path + " -out " + dir + "/x.touch", exitFailed, "", "this is memory of no file"},
		{"prefetch -memory 0 " + path, exitUsage, "", "choose 1 to 100"},
		{"prefetch -need 2 -out x " + path, exitUsage, "", "-need 2 of 1 recordings"},
		{"prefetch a b", exitUsage, "", "2 order files"},
		{"report -order absent " + path, exitFailed, "", "name an order file"},
		{"top", exitUsage, "", "top wants the address of a live agent"},
		{"report -seconds 3 " + path, exitUsage, "", "only a live agent can record the next seconds"},
		{"heatmap -out x.png " + path, exitUsage, "", "name a file that ends in .svg"},
		{"report -seconds 999 " + path, exitUsage, "", "-seconds 999: choose"},
		{"diff " + path + " " + path, 0, "Working sets;cache;100%", ""},
		{"diff " + path + " " + cut, exitPartial, "Working sets", "cut off"},
		{"diff -by time " + path + " " + path, exitUsage, "", "-by time: choose"},
		{"diff -fail-if touched>+5% -fail-if stall>+0% " + path + " " + path, 0, "ok              touched>+5%;ok              stall", ""},
		{"diff -fail-if faults>0 " + path + " " + path, exitOver, "FAILED          faults>0", ""},
		{"diff -fail-if touched>5% " + path + " " + path, exitUsage, "", "a percentage is of A"},
		{"diff -fail-if faults>0 " + path + " " + cut, exitPartial, "FAILED", "cut off"},
		{"heatmap " + path, 0, "First touches of cache by place and time", ""},
		{"heatmap -region x " + path, exitFailed, "", `no region "x": choose one of cache`},
		{"heatmap -value size " + path, exitUsage, "", "-value size: choose"},
		{"heatmap -o - " + path, 0, "<svg xmlns;</svg>", ""},
		{"convert -to chrome " + path, 0, `"traceEvents";first touch, zero`, ""},
		{"convert -to otlp " + path, exitFailed, "", "the recording has no requests"},
		{"convert " + path, exitUsage, "", "choose chrome or otlp"},
		{"pprof -o /nowhere/x " + path, exitFailed, "", "name another file with -out"},
		{"top -every 100ms -times 2 " + server.URL, 0, "Code that waited most since the last look;cache", ""},
		{"top " + path, exitUsage, "", "not the address of a live agent"},
		{"top -times -1 x:1", exitUsage, "", "choose 100ms or more"},
		{"completion bash", 0, "firsttouch", ""},
	} {
		t.Run(strings.ReplaceAll(tt.args, "/", "_"), func(t *testing.T) {
			r := runCommand(t, strings.Fields(tt.args)...)
			if r.status != tt.status || !strings.Contains(r.diag, tt.diag) || tt.diag == "" && r.diag != "" {
				t.Errorf("status %d, %q; want %d, %q", r.status, r.diag, tt.status, tt.diag)
			}
			for _, want := range strings.Split(tt.out, ";") {
				if !strings.Contains(r.out, want) {
					t.Errorf("%q is missing from\n%s", want, r.out)
				}
			}
		})
	}
}

// The numbers of the report are those of the snapshot.
func TestReportAsJSON(t *testing.T) {
	a, path := profiled(t, 17)
	s := a.Profiler().Snapshot()
	var d report.Document
	if err := json.Unmarshal([]byte(runCommand(t, "report", "-json", path).out), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Regions) != 1 || d.Regions[0].Faults != 17 || d.Regions[0].Touched != s.Regions[0].Touched || d.Regions[0].Stall.Sum != s.Regions[0].Stall.Sum ||
		d.Process != os.Getpid() || d.Scope != string(recording.ScopeAll) || d.Logged != 17 || len(d.Times) == 0 {
		t.Errorf("%+v", d)
	}
	r := runCommand(t, "diff", "-json", path, path)
	var c report.Comparison
	if err := json.Unmarshal([]byte(r.out), &c); err != nil || c.Regions[0].Both != s.Regions[0].Touched {
		t.Errorf("%v, %s", err, r.out)
	}
}

// The profile of a recording is the one that its process would have written.
func TestPprofOfARecording(t *testing.T) {
	_, path := profiled(t, 5)
	c := command(t, "pprof", "-out", "p.gz", path)
	if r := wait(t, c); r.status != exitDone || !strings.Contains(r.diag, "wrote p.gz") {
		t.Fatalf("%+v", r)
	}
	top := exec.Command("go", "tool", "pprof", "-top", "-sample_index=faults", filepath.Join(c.Dir, "p.gz"))
	if text, err := top.CombinedOutput(); err != nil || !strings.Contains(string(text), "cmd/firsttouch.profiled") {
		t.Errorf("%v\n%s", err, text)
	}
	if left, err := filepath.Glob(filepath.Join(c.Dir, ".firsttouch-*")); err != nil || len(left) != 0 {
		t.Errorf("%v left behind, %v", left, err)
	}
	in := command(t, "report", "-")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	in.Stdin = bytes.NewReader(data)
	if r := wait(t, in); r.status != exitDone || !strings.Contains(r.out, "cache") {
		t.Errorf("%+v", r)
	}
}
